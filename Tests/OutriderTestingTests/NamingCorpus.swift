// SPDX-License-Identifier: Apache-2.0
// Valid and invalid names for which this library's advice is compared with promtool's.

/// An exposition with a reason for every kind of advice, and with names that need none.
enum NamingCorpus {
    /// The exposition.
    ///
    /// No name has two units: promtool picks one of them at random.
    static let text = (plain + labelled + distributions).joined()

    /// Whether advice is about a type in a name other than the metric's own.
    static func isAboutAnotherType(_ advice: String) -> Bool {
        guard let text = advice.firstRange(of: " metric name should not include type '") else {
            return false
        }
        let type = advice[text.upperBound...].dropLast()
        return advice.prefix { $0 != "_" } != beginnings[String(type)] ?? ""
    }

    /// How the names of each type's metrics start.
    private static let beginnings = [
        "counter": "counters", "gauge": "gauges", "histogram": "h", "summary": "s",
    ]

    private static let types = ["counter", "gauge", "untyped"]

    /// Names for a metric of each simple type, with the type as a prefix.
    private static let names =
        [
            "x", "x_total", "x_totals", "x_total_y", "x_bucket", "x_count", "x_sum", "x_counts",
            "x_info", "x_created", "a:b", "a:b_total", "camelCase", "snake_Case", "x_aB", "X_y",
            "x_counter", "x_gauge", "x_summary", "x_histogram", "x_gauge_histogram", "x_untyped",
            "x_gauge_y", "x_GAUGE", "x_gauges", "x_Histogram_y", "x_s", "x_MS", "x_us", "x_ns",
            "x_sec", "x_secs", "x_sec_y", "x_b", "x_kb", "x_Mb", "x_gb", "x_tb", "x_pb", "x_eb",
            "x_m", "x_h", "x_d", "x_D_y", "x_w", "xs", "x__s", "thermometers", "kilothermometers",
            "x_seconds_total", "x_Seconds", "x_milliSeconds", "x_millimilliseconds",
        ] + units.map { "x_\($0)" } + prefixes.map { "x_\($0)bytes_y" }
        + prefixes.map { "\($0)minutes_total" }

    private static let units = [
        "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds",
        "volts", "minutes", "hours", "days", "weeks", "kelvins", "fahrenheit", "rankine", "inches",
        "yards", "miles", "bits", "calories", "pounds", "ounces", "moles", "second", "feet",
        "years", "watts", "ratio", "percent", "millikelvins", "microcelsius", "kilocalories",
    ]

    private static let prefixes = [
        "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "mega", "giga",
        "tera", "peta", "exa", "kibi", "mebi", "mibi", "gibi", "tebi", "pebi", "exbi", "femto",
    ]

    private static let plain = types.flatMap { type in
        names.map { name in
            "# HELP \(type)s_\(name) Help.\n# TYPE \(type)s_\(name) \(type)\n\(type)s_\(name) 1\n"
        }
    }

    private static let labelled =
        types.flatMap { type in
            ["le", "quantile", "aB", "a_b", "A", "lE", "Le"].map { label in
                """
                # HELP labelled_\(type)s_\(label) Help.
                # TYPE labelled_\(type)s_\(label) \(type)
                labelled_\(type)s_\(label){\(label)="1"} 1
                labelled_\(type)s_\(label){\(label)="2"} 1

                """
            }
        } + [
            "# TYPE helpless gauge\nhelpless 1\n", "# HELP empty_help\n# TYPE empty_help gauge\n",
            "empty_help 1\n", "# HELP blank_help \n# TYPE blank_help gauge\nblank_help 1\n",
            "bare 1\n", "bare_total 1\n", "bare_ms{le=\"1\",aB=\"2\"} 1\n",
            "# HELP no_samples_ms Help.\n# TYPE no_samples_ms counter\n",
        ]

    private static let distributions = [
        "e", "d_total", "d_bucket", "d_count", "d_sum", "d_milliseconds", "d_histogram",
        "d_summary", "dD_ms",
    ].flatMap { name in
        [
            """
            # HELP h_\(name) Help.
            # TYPE h_\(name) histogram
            h_\(name)_bucket{quantile="1",aB="2",le="+Inf"} 1
            h_\(name)_sum{quantile="1",aB="2"} 1
            h_\(name)_count{quantile="1",aB="2"} 1

            """,
            """
            # TYPE s_\(name) summary
            s_\(name){quantile="1",le="1"} 1
            s_\(name)_sum{le="1"} 1
            s_\(name)_count{le="1"} 1

            """,
        ]
    }
}
