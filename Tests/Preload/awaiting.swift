// SPDX-License-Identifier: Apache-2.0
// Memory held by a function that others await; the profile should name all of them.

final class Holder: @unchecked Sendable {
    // Accessed by one task after the other.
    var blocks: [[UInt64]] = []
}

@inline(never)
func holdMemory(_ holder: Holder) {
    for number in 0..<2_000 { holder.blocks.append(Array(repeating: UInt64(number), count: 1_000)) }
}

@inline(never)
func innerAsync(_ holder: Holder) async {
    await Task.yield()
    holdMemory(holder)
}

@inline(never)
func outerAsync(_ holder: Holder) async {
    await innerAsync(holder)
    await Task.yield()
}

@main
struct Awaiting {
    static func main() async {
        let holder = Holder()
        await outerAsync(holder)
        print(holder.blocks.count)
    }
}
