// SPDX-License-Identifier: Apache-2.0
// The directories of the control groups of this process: version 2, version 1, or both combined.

/// The directories of a process's control groups, each followed by those of its ancestors.
struct ControlGroupDirectories: Sendable, Equatable {
    /// The version 2 group, which may have any controller.
    var unified: [String]?
    /// The version 1 groups, by controller.
    var byController: [String: [String]] = [:]

    /// - Parameters:
    ///   - memberships: The lines of `/proc/self/cgroup`.
    ///   - mounts: The mounts of control groups.
    ///   - root: A prefix of each mount point, for directory trees of tests.
    init(_ memberships: [GroupMembership], _ mounts: [GroupMount], root: String) {
        func directories(_ path: String, in mounts: [GroupMount]) -> [String]? {
            mounts.lazy.compactMap { $0.directories(of: path) }.first?.map { root + $0 }
        }
        for membership in memberships {
            if membership.controllers.isEmpty {
                unified = directories(membership.path, in: mounts.filter { $0.controllers == nil })
            }
            for controller in membership.controllers {
                let own = mounts.filter { $0.controllers?.contains(controller) == true }
                byController[controller] = directories(membership.path, in: own)
            }
        }
    }
}
