// SPDX-License-Identifier: Apache-2.0
// The environment variables of an agent, each validated.

internal import OutriderEndpoint

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The environment variables that concern an agent; an invalid value is rejected and the default
/// applies.
///
/// Source of the `OTEL_…` names: OpenTelemetry specification, "Environment Variable Specification"
/// and "Resource SDK".
struct Environment {
    /// The address to listen on, if set.
    private(set) var address: ListenAddress?
    /// The address of `/debug`, if set.
    private(set) var debugAddress: Agent.DebugAddress?
    /// `OUTRIDER_DEBUG_TOKEN_FILE`.
    private(set) var debugTokenFile: String?
    /// `OUTRIDER_IDLE_TIMEOUT`.
    private(set) var idleTimeout: Duration?
    /// Whether this is a Kubernetes pod; Kubernetes sets service variables in each pod.
    private(set) var isInKubernetes = false
    /// `OTEL_SERVICE_NAME`.
    private(set) var serviceName: String?
    /// `OTEL_RESOURCE_ATTRIBUTES`, by the names given there.
    private(set) var resource: [String: String] = [:]
    /// One sentence for each rejected variable.
    private(set) var problems: [AgentError] = []

    /// All variables that are read.
    private static let names = [
        "OUTRIDER_ADDRESS", "OUTRIDER_DEBUG_ADDRESS", "OUTRIDER_DEBUG_TOKEN_FILE",
        "OUTRIDER_IDLE_TIMEOUT",
        "KUBERNETES_SERVICE_HOST",
        "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT",
        "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
    ]

    init(_ variables: [String: String]) {
        // An empty variable counts as unset (as in the OpenTelemetry specification).
        let variables = variables.filter { !$0.value.isEmpty }
        readAddress(variables)
        readDebugAddress(variables)
        debugTokenFile = variables["OUTRIDER_DEBUG_TOKEN_FILE"]
        readIdleTimeout(variables)
        isInKubernetes = variables["KUBERNETES_SERVICE_HOST"] != nil
        serviceName = variables["OTEL_SERVICE_NAME"]
        if let text = variables["OTEL_RESOURCE_ATTRIBUTES"] { readResource(text) }
    }

    private mutating func readAddress(_ variables: [String: String]) {
        if let text = variables["OUTRIDER_ADDRESS"] {
            do throws(EndpointError) {
                address = try ListenAddress(text)
            } catch {
                refuse("OUTRIDER_ADDRESS", "is invalid: \(error)")
            }
            return
        }
        let host = variables["OTEL_EXPORTER_PROMETHEUS_HOST"]
        let port = variables["OTEL_EXPORTER_PROMETHEUS_PORT"]
        guard host != nil || port != nil else { return }
        if let port, UInt16(port) == nil {
            refuse(
                "OTEL_EXPORTER_PROMETHEUS_PORT",
                "is invalid: \"\(port)\" is not a port from 0 to 65535")
            return
        }
        let name = host ?? "localhost"
        let bracketed = name.contains(":") && !name.hasPrefix("[") ? "[\(name)]" : name
        do throws(EndpointError) {
            address = try ListenAddress("\(bracketed):\(port ?? "9464")")
        } catch {
            refuse("OTEL_EXPORTER_PROMETHEUS_HOST", "is invalid: \(error)")
        }
    }

    private mutating func readDebugAddress(_ variables: [String: String]) {
        guard let text = variables["OUTRIDER_DEBUG_ADDRESS"] else { return }
        do throws(EndpointError) {
            debugAddress = try Agent.DebugAddress(text)
        } catch {
            refuse("OUTRIDER_DEBUG_ADDRESS", "is invalid: \(error)")
        }
    }

    private mutating func readIdleTimeout(_ variables: [String: String]) {
        guard let text = variables["OUTRIDER_IDLE_TIMEOUT"] else { return }
        guard let seconds = Int(text), (1...86_400).contains(seconds), !text.hasPrefix("+") else {
            refuse(
                "OUTRIDER_IDLE_TIMEOUT",
                "is invalid: \"\(text)\" is not a whole number of seconds from 1 to 86400")
            return
        }
        idleTimeout = .seconds(seconds)
    }

    /// `key=value,key=value`, percent-encoded; one invalid pair discards the whole variable.
    private mutating func readResource(_ text: String) {
        var attributes: [String: String] = [:]
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = parts[0].trimmingSpaces()
            guard parts.count == 2, !key.isEmpty,
                let value = Self.decoded(parts[1].trimmingSpaces())
            else {
                refuse(
                    "OTEL_RESOURCE_ATTRIBUTES",
                    "is invalid: \"\(pair)\" is not a percent-encoded key=value; write a=b,c=d")
                return
            }
            attributes[key] = value
        }
        resource = attributes
    }

    private mutating func refuse(_ variable: String, _ problem: String) {
        problems.append(
            AgentError(
                reason: "invalid_environment",
                description: "environment variable \(variable) \(problem)"))
    }

    private static func decoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, !digits.hasPrefix("+"), !digits.hasPrefix("-"),
                let value = UInt8(digits, radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The variables of this process that concern an agent.
    static func ofProcess() -> [String: String] {
        var variables: [String: String] = [:]
        for name in names {
            // SAFETY: the text is copied at once. getenv(3) races with setenv(3) in another thread,
            // as everywhere; an agent starts when the service starts.
            guard let value = unsafe getenv(name) else { continue }
            variables[name] = unsafe String(cString: value)
        }
        return variables
    }

    /// The program's name, from the path it was started with.
    static func programName() -> String {
        let path = CommandLine.arguments.first ?? ""
        return path.split(separator: "/").last.map(String.init) ?? "unknown"
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        let start = drop { $0 == " " }
        return String(start.reversed().drop { $0 == " " }.reversed())
    }
}
