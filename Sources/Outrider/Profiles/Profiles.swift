// SPDX-License-Identifier: Apache-2.0
// The sources of profiles passed to an agent: their pages, and their start.

internal import OutriderEndpoint
internal import OutriderMetrics
internal import OutriderProfile
internal import OutriderThreading

/// The profiles of one agent.
struct Profiles {
    /// A page for each kind, and the list of them.
    let pages: [any Page]
    private let sources: [any ProfileSource]

    /// Creates a page for each kind; a kind with an invalid or duplicate name is logged and passed
    /// to `refuse` with the reason.
    init(
        _ sources: [any ProfileSource], time: any TimeSource, log: DiagnosticLog,
        refuse: (String) -> Void
    ) {
        self.sources = sources
        var taken: [ProfilePage] = []
        for source in sources {
            for kind in source.kinds {
                if !Self.isName(kind.name) {
                    log.reportOnce(
                        .error,
                        "invalid profile name \"\(kind.name)\"; use 1 to 32 lower-case letters")
                    refuse("profile_name")
                } else if taken.contains(where: { $0.kind.name == kind.name }) {
                    log.reportOnce(
                        .error, "two sources have a profile \(kind.name); only the first is served")
                    refuse("profile_twice")
                } else {
                    taken.append(ProfilePage(kind, of: source, time: time))
                }
            }
        }
        pages = [ProfileIndexPage(taken.map(\.kind))] + taken
    }

    /// Starts the sources, and adds those that have metrics to the registry.
    func start(in registry: Registry, log: DiagnosticLog) {
        for source in sources {
            source.start { isError, message in
                log.report(isError ? .error : .info, about: "profiles", message)
            }
            if let collector = source as? any Collector, !registry.isCollecting(collector.name) {
                registry.add(collector)
            }
        }
    }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 32
            && name.utf8.allSatisfy { UInt8(ascii: "a") <= $0 && $0 <= UInt8(ascii: "z") }
    }
}
