// SPDX-License-Identifier: Apache-2.0
// The routes of a recorder, by template.
//
// Frameworks pass the template of a matched route as a `String`, the same one for each request. So
// it is first looked up by the sixteen bytes of the `String` value, before its text is hashed.
// Equal bytes mean equal text as long as that `String` is kept from being changed or freed, so the
// table keeps those that it has seen.

internal import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Routes by template; thread-safe.
final class RouteTable: Sendable {
    private static let aliasCount = 256
    /// The longest template in bytes; a longer text is not a template, and not kept.
    private static let longest = LabelLimits.default.valueLength

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

    /// A table of at most `limit` routes in addition to those `known` from the start.
    ///
    /// `overflow` is the route of all others, and of templates of more than 1,024 bytes.
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

    /// Returns the route with this template; creates it if need be.
    func route(_ template: String) -> RouteSeries {
        let identity = Self.identity(of: template)
        let slot = Self.slot(of: identity)
        let alias = aliases[slot].load()
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
        if alias == nil { _ = aliases[slot].storeIfNil(Alias(template, identity, route)) }
        return route
    }

    /// The label value of a template: an empty one is the root's, and is shown as `/`.
    static func shown(_ template: String) -> String {
        template.isEmpty ? "/" : template
    }

    /// The bytes of a `String` value: the address of its text, or the text itself if it is short.
    private static func identity(of text: String) -> (UInt64, UInt64) {
        // SAFETY: a `String` is sixteen bytes wherever a pointer is eight; they are only compared.
        unsafe unsafeBitCast(text, to: (UInt64, UInt64).self)
    }

    private static func slot(of identity: (UInt64, UInt64)) -> Int {
        let mixed = (identity.0 ^ identity.1 &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        return Int(mixed >> 56) % aliasCount
    }
}
