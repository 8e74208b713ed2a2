// SPDX-License-Identifier: Apache-2.0
// The page around a flame graph's data: style and script.

extension ProfileFormat {
    /// The content security policy of a flame graph: inline scripts and styles only, no other
    /// resources.
    package static let pagePolicy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

/// The parts of the page before and after the data.
enum FlameGraphPage {
    static func head(title: String) -> String {
        let safe = plain(title)
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(safe) – flame graph</title>
            <style>\(style)</style>
            </head>
            <body>
            <header>
            <h1>\(safe)</h1>
            <label>Show <select id="type"></select></label>
            <label>Search <input id="search" type="search" placeholder="function" spellcheck="false"></label>
            <button id="reset" type="button" disabled>Zoom out</button>
            <output id="found"></output>
            </header>
            <p id="detail" aria-live="polite">&nbsp;</p>
            <main id="graph" aria-label="Flame graph: outermost functions on top, width is the share"></main>
            <footer id="remarks"></footer>
            <script>
            "use strict";
            const profile =
            """
    }

    /// Replaces characters that are special in HTML or affect the direction of text.
    private static func plain(_ title: String) -> String {
        var text = String.UnicodeScalarView()
        for scalar in title.unicodeScalars {
            let isPlain: Bool
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: isPlain = false
            default: isPlain = !["<", ">", "&", "\""].contains(scalar)
            }
            text.append(isPlain ? scalar : " ")
        }
        return String(text)
    }

    private static let style = """
        :root { color-scheme: light dark; --page: #fbfaf8; --ink: #23211e; --faint: #6f6a63;
          --line: #e2ddd5; --field: #fff; --mark: #b4009e; --box: #fff; --warm: 1; }
        @media (prefers-color-scheme: dark) { :root { --page: #191817; --ink: #ece8e1; --faint: #a19a90;
          --line: #3a3733; --field: #262422; --mark: #ff6be8; --box: #191817; } }
        * { box-sizing: border-box; }
        body { margin: 0; padding: 14px 20px; background: var(--page); color: var(--ink);
          font: 14px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
        header { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center; }
        h1 { font-size: 18px; margin: 0 8px 0 0; }
        label { color: var(--faint); }
        select, input, button { font: inherit; color: var(--ink); background: var(--field);
          border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; margin-left: 5px; }
        button { cursor: pointer; margin: 0; } button:disabled { opacity: .45; cursor: default; }
        output { color: var(--mark); font-variant-numeric: tabular-nums; }
        #detail { margin: 10px 0 8px; min-height: 21px; white-space: nowrap; overflow: hidden;
          text-overflow: ellipsis; font-variant-numeric: tabular-nums; }
        #detail b { font-weight: 600; } #detail span { color: var(--faint); margin-left: 12px; }
        #graph { position: relative; overflow: hidden; }
        .frame { position: absolute; height: 19px; padding: 0 4px; margin: 0; overflow: hidden;
          white-space: nowrap; text-overflow: ellipsis; font: 12px/18px ui-monospace, "SF Mono", Menlo,
          Consolas, monospace; text-align: left; border: 0; border-right: 1px solid var(--box);
          border-bottom: 1px solid var(--box); border-radius: 2px; color: #211a12; cursor: pointer; }
        .frame:hover, .frame:focus-visible { filter: brightness(1.1); outline: 2px solid var(--ink);
          outline-offset: -2px; z-index: 1; }
        .frame.found { background: var(--mark) !important; color: #fff; }
        .frame.outer { opacity: .55; }
        footer { color: var(--faint); margin-top: 12px; font-size: 13px; } footer p { margin: 2px 0; }
        """

    /// The script, which rebuilds the layout at each change and leaves out frames narrower than
    /// half a pixel.
    static let tail = #"""
        ;
        const ROW = 20, graph = document.getElementById("graph"), detail = document.getElementById("detail");
        const select = document.getElementById("type"), search = document.getElementById("search");
        const reset = document.getElementById("reset"), found = document.getElementById("found");
        let type = profile.main, focus = [profile.root], pattern = "";
        const dark = matchMedia("(prefers-color-scheme: dark)");

        function human(value, unit) {
          if (unit === "bytes") {
            const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
            let i = 0;
            while (value >= 1024 && i < units.length - 1) { value /= 1024; i++; }
            return (i ? value.toFixed(value < 10 ? 2 : 1) : value) + " " + units[i];
          }
          if (unit === "nanoseconds") {
            for (const [size, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]])
              if (value >= size) return (value / size).toFixed(2) + " " + name;
            return value + " ns";
          }
          return value.toLocaleString("en");
        }
        function share(value, of) { return of > 0 ? (100 * value / of).toFixed(value < of ? 2 : 0) + " %" : "–"; }
        function matches(name) { return pattern !== "" && profile.names[name].toLowerCase().includes(pattern); }
        function color(name) {
          let hash = 7;
          for (const c of profile.names[name]) hash = (hash * 31 + c.codePointAt(0)) | 0;
          hash >>>= 0;
          const hue = 18 + hash % 34, light = dark.matches ? 56 + (hash >> 8) % 10 : 66 + (hash >> 8) % 12;
          return `hsl(${hue} ${dark.matches ? 62 : 82}% ${light}%)`;
        }
        function describe(node) {
          const [name, values] = node, unit = profile.types[type][1], total = profile.root[1][type];
          detail.replaceChildren();
          const strong = document.createElement("b"), figures = document.createElement("span");
          strong.textContent = profile.names[name];
          figures.textContent = human(values[type], unit) + " · " + share(values[type], total) + " of all";
          detail.append(strong, figures);
        }
        // The bytes of the outermost matching frames, so that nothing counts twice.
        function matching(node) {
          if (matches(node[0])) return node[1][type];
          let sum = 0;
          for (const child of node[2]) sum += matching(child);
          return sum;
        }
        function add(node, left, width, row, isOuter, path) {
          const element = document.createElement("button"), name = profile.names[node[0]];
          element.type = "button";
          element.className = "frame" + (isOuter ? " outer" : "") + (matches(node[0]) ? " found" : "");
          element.style.cssText = `left:${left}px;width:${width}px;top:${row * ROW}px;background:${color(node[0])}`;
          element.textContent = width > 28 ? name : "";
          element.setAttribute("aria-label", name + ", " + human(node[1][type], profile.types[type][1]));
          element.onmouseenter = element.onfocus = () => describe(node);
          element.onclick = () => zoom(path);
          graph.append(element);
        }
        function draw() {
          const width = graph.clientWidth, target = focus[focus.length - 1];
          graph.replaceChildren();
          let rows = focus.length;
          focus.slice(0, -1).forEach((node, row) => add(node, 0, width, row, true, focus.slice(0, row + 1)));
          const scale = target[1][type] > 0 ? width / target[1][type] : 0;
          const open = [[target, 0, focus.length - 1, focus]];
          while (open.length) {
            const [node, left, row, path] = open.pop(), wide = node[1][type] * scale;
            if (wide < 0.5) continue;
            add(node, left, wide, row, false, path);
            rows = Math.max(rows, row + 1);
            let at = left;
            const children = node[2].slice().sort((a, b) => b[1][type] - a[1][type]);
            for (const child of children) {
              open.push([child, at, row + 1, [...path, child]]);
              at += child[1][type] * scale;
            }
          }
          graph.style.height = rows * ROW + "px";
          reset.disabled = focus.length === 1;
          const total = profile.root[1][type];
          found.textContent = pattern === "" ? "" : "found " + share(matching(profile.root), total);
          describe(target);
          if (total <= 0) detail.textContent = "This profile has no " + profile.types[type][0] + " samples.";
        }
        function zoom(path) { focus = path; draw(); }
        profile.types.forEach(([name, unit], index) => {
          const option = document.createElement("option");
          option.value = index;
          option.textContent = name + " (" + unit + ")";
          option.selected = index === type;
          select.append(option);
        });
        for (const remark of profile.remarks) {
          const line = document.createElement("p");
          line.textContent = remark;
          document.getElementById("remarks").append(line);
        }
        select.onchange = () => { type = Number(select.value); zoom([profile.root]); };
        search.oninput = () => { pattern = search.value.trim().toLowerCase(); draw(); };
        reset.onclick = () => zoom([profile.root]);
        addEventListener("keydown", event => {
          if (event.key === "Escape") { search.value = ""; pattern = ""; zoom([profile.root]); }
          if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
        });
        let frame = 0;
        addEventListener("resize", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); });
        dark.onchange = draw;
        draw();
        </script>
        </body>
        </html>

        """#
}
