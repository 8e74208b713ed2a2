// SPDX-License-Identifier: Apache-2.0
// Waiting for a fact, with a limit.

internal import Glibc

/// Looks again and again until `condition` holds or time is up; tells whether it held.
public func eventually(
    within seconds: Int = 30, _ condition: () throws -> Bool
) rethrows -> Bool {
    let limit = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < limit {
        if try condition() { return true }
        sched_yield()
    }
    return try condition()
}
