// SPDX-License-Identifier: Apache-2.0
// The routes of a recorder, found by their templates.
//
// Frameworks hand out the template of a matched route as a `String`, the same one at each request.
// So it is looked up by what the sixteen bytes of the `String` itself are, before its text is
// hashed: equal bytes mean equal text, as long as somebody keeps that `String` from being changed or
// freed, which the table does for those it has noted.

internal import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Routes by template; thread-safe.
final class RouteTable: Sendable {
    private static let aliasCount = 256
    /// Bytes that a template may have; a longer one is no template, and not kept.
    private static let longest = LabelLimits.standard.valueLength

    /// A `String` that was seen, and its route.
    private final class Alias: Sendable {
        let template: String
        let identity: (UInt64, UInt64)
        let route: RouteSeries

        init(_ template: String, _ identity: (UInt64, UInt64), _ route: RouteSeries) {
            self.template = template
            self.identity = identity
            self.route = route
        }
    }

    private let routes: Guarded<[String: RouteSeries]>
    private let aliases = InlineArray<256, OnceReference<Alias>> { _ in
        OnceReference()
    }
    private let limit: Int
    private let overflow: RouteSeries
    private let make: @Sendable (String) -> RouteSeries

    /// A table of at most `limit` routes beside those that are `known` from the start; `overflow`
    /// stands for all beyond, and for templates of more than 1,024 bytes.
    init(
        limit: Int, known: [RouteSeries], overflow: RouteSeries,
        make: @escaping @Sendable (String) -> RouteSeries
    ) {
        let first = Dictionary(known.map { ($0.template, $0) }) { one, _ in one }
        routes = Guarded(first)
        self.limit = limit + first.count
        self.overflow = overflow
        self.make = make
    }

    /// The route with this template, made if there is none yet.
    func route(_ template: String) -> RouteSeries {
        let identity = Self.identity(of: template)
        let place = Self.place(of: identity)
        let alias = aliases[place].load()
        if let alias, alias.identity == identity { return alias.route }
        if template.utf8.count > Self.longest { return overflow }
        let text = Self.shown(template)
        let route = routes.withLock { routes -> RouteSeries? in
            if let known = routes[text] { return known }
            guard routes.count < limit else { return nil }
            let new = make(text)
            routes[text] = new
            return new
        }
        guard let route else { return overflow }
        if alias == nil { _ = aliases[place].storeIfNil(Alias(template, identity, route)) }
        return route
    }

    /// A template as it stands in a label: an empty one is that of the root, and would be no label
    /// at all.
    static func shown(_ template: String) -> String {
        template.isEmpty ? "/" : template
    }

    /// What a `String` is made of: where its text lies, or the text itself if it is short.
    private static func identity(of text: String) -> (UInt64, UInt64) {
        // SAFETY: a `String` is sixteen bytes wherever a pointer is eight; they are only compared.
        unsafe unsafeBitCast(text, to: (UInt64, UInt64).self)
    }

    private static func place(of identity: (UInt64, UInt64)) -> Int {
        let mixed = (identity.0 ^ identity.1 &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        return Int(mixed >> 56) % aliasCount
    }
}
