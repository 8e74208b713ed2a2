// SPDX-License-Identifier: Apache-2.0
// The addresses an agent listens on: the main one for all clients, and a second one for operators.

internal import OutriderEndpoint

/// The addresses of an agent, from code, from the environment, or by default.
struct Addresses {
    let main: ListenAddress
    /// The address of `/debug`; nil if `/debug` does not have its own listener.
    let debug: ListenAddress?
    /// Whether the debug address is `.shared`; it only applies to a local main address without a
    /// token file.
    let isDebugShared: Bool
    /// Whether code or the environment set the debug address; then a failure to open it is an error
    /// if the agent throws on failure.
    let isDebugWanted: Bool
    /// A probable configuration mistake, with its remedy.
    let warning: String?

    init(_ configuration: Agent.Configuration, _ environment: Environment) {
        let main =
            configuration.address ?? environment.address ?? .passedToAgent ?? .loopback(port: 9464)
        self.main = main
        let given = configuration.debugAddress ?? environment.debugAddress
        let listener = given ?? .beside(main)
        if case .at(let address) = listener.kind { debug = address } else { debug = nil }
        isDebugShared = listener == .shared
        isDebugWanted = given != nil
        // kubelet and a Prometheus outside of the pod cannot reach a loopback address. A Unix socket
        // may be meant for a sidecar.
        let port = main.port.flatMap { $0 == 0 ? nil : $0 } ?? 9464
        warning =
            environment.isInKubernetes && main.isLocal && main.port != nil
            ? """
            running in a Kubernetes pod, but the agent listens on \(main), which neither kubelet nor \
            Prometheus can reach. Set OUTRIDER_ADDRESS=0.0.0.0:\(port) and a NetworkPolicy; /debug stays on a separate loopback address (kubectl port-forward)
            """ : nil
    }
}
