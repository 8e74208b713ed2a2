// SPDX-License-Identifier: Apache-2.0
// Where the control groups of this process are: version 2, version 1, or both side by side.

/// The folders of a process' control groups, each with those of its ancestors behind it.
struct ControlGroupPlaces: Sendable, Equatable {
    /// The group of version 2, in which any controller may be.
    var unified: [String]?
    /// The groups of version 1, by controller.
    var byController: [String: [String]] = [:]

    /// - Parameters:
    ///   - memberships: The lines of `/proc/self/cgroup`.
    ///   - mounts: The mounts of control groups.
    ///   - root: What goes before each mount point; for trees of tests.
    init(_ memberships: [GroupMembership], _ mounts: [GroupMount], root: String) {
        func places(_ path: String, in mounts: [GroupMount]) -> [String]? {
            mounts.lazy.compactMap { $0.places(of: path) }.first?.map { root + $0 }
        }
        for membership in memberships {
            if membership.controllers.isEmpty {
                unified = places(membership.path, in: mounts.filter { $0.controllers == nil })
            }
            for controller in membership.controllers {
                let own = mounts.filter { $0.controllers?.contains(controller) == true }
                byController[controller] = places(membership.path, in: own)
            }
        }
    }
}
