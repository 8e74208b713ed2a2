// SPDX-License-Identifier: Apache-2.0
// A flame graph as a single self-contained page that can be saved, mailed and opened anywhere.
//
// The stacks become a tree of names; the page draws the branches wide enough to be visible. Names
// come from binaries and may contain anything, so they are embedded as escaped JSON and displayed
// as text.

/// Writes the page.
enum FlameGraph {
    /// Maximum number of branches drawn; the smallest are left out and counted.
    private static let nodeLimit = 20_000

    /// Renders the page of a profile.
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
            remarks.append("Decreases are not drawn.")
        }
        if leftOut > 0 { remarks.append("\(leftOut) small branches are left out.") }
        return remarks
    }
}
