// SPDX-License-Identifier: Apache-2.0
// A program with the malloc hooks linked in, for tests: the test bundle itself has none.

@main
struct HeapProbe {
    static func main() {}
}
