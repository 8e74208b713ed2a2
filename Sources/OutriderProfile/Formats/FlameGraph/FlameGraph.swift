// SPDX-License-Identifier: Apache-2.0
// A flame graph as one page: no other file, no other host, so it can be kept, mailed and opened anywhere.
//
// The stacks become a tree of names; the page draws what is wide enough to be seen. Names come from
// binaries and may hold anything, so they go into the page as escaped JSON and reach the screen as text.

/// Writes the page.
enum FlameGraph {
    /// Branches that are drawn at most; the smallest are left out and counted.
    private static let nodeLimit = 20_000

    /// The page of a profile.
    static func render(_ profile: Profile, _ symbols: Symbols, title: String) -> [UInt8] {
        let tree = FlameTree(profile, symbols, limit: nodeLimit)
        var json = JSONText(after: FlameGraphPage.head(title: title))
        json.open("{")
        json.member("title", title)
        json.member("main", profile.defaultIndex)
        json.list("types", profile.sampleTypes) { json, type in
            json.open("[")
            json.string(type.type)
            json.string(type.unit)
            json.close("]")
        }
        json.list("remarks", remarks(profile, tree.leftOut)) { json, remark in json.string(remark) }
        json.list("names", tree.names) { json, name in json.string(name) }
        json.key("root")
        tree.write(into: &json)
        json.close("}")
        return json.finished(by: FlameGraphPage.tail)
    }

    private static func remarks(_ profile: Profile, _ leftOut: Int) -> [String] {
        var remarks = profile.comments
        if profile.table.values.contains(where: { $0 < 0 }) {
            remarks.append("What became less is not drawn.")
        }
        if leftOut > 0 { remarks.append("\(leftOut) small branches are left out.") }
        return remarks
    }
}
