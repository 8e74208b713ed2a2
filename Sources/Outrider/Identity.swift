// SPDX-License-Identifier: Apache-2.0
// The identity of this target: `target_info` and `outrider_build_info`.

internal import OutriderMetrics

/// The metrics that identify the service and the agent.
enum Identity {
    /// Registers both in `registry`.
    static func register(
        in registry: Registry, _ configuration: Agent.Configuration, _ environment: Environment
    ) {
        registry.info(
            "target_info", help: "Attributes of the service's OpenTelemetry resource.",
            attributes(configuration, environment))
        registry.info(
            "outrider_build_info",
            help: "Versions of Outrider and of the Swift compiler that built it.",
            ["version": Version.outrider, "swift_version": Version.swift])
    }

    /// Attributes as labels; values set in code take precedence over the environment.
    static func attributes(
        _ configuration: Agent.Configuration, _ environment: Environment
    ) -> [String: String] {
        var merged = environment.resource
        merged["service.name"] =
            environment.serviceName ?? merged["service.name"]
            ?? "unknown_service:\(Environment.programName())"
        merged.merge(configuration.resource) { _, code in code }
        if let name = configuration.serviceName { merged["service.name"] = name }
        var labels: [String: String] = [:]
        for (key, value) in merged.sorted(by: { $0.key < $1.key }) {
            // Attributes that map to the same label are joined, as OpenTelemetry specifies.
            let label = labelName(key)
            labels[label] = labels[label].map { "\($0);\(value)" } ?? value
        }
        return labels
    }

    /// `service.name` as `service_name`: characters that Prometheus does not accept become `_`.
    private static func labelName(_ key: String) -> String {
        var name = String(
            key.unicodeScalars.map { scalar -> Character in
                let isAllowed =
                    scalar.isASCII
                    && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                        || scalar == "_")
                return isAllowed ? Character(scalar) : "_"
            })
        while name.hasPrefix("__") { name.removeFirst() }
        if let first = name.first, first.isNumber { name = "key_" + name }
        return name.isEmpty || name == "le" || name == "quantile" ? "key_" + name : name
    }
}
