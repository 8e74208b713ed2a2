// SPDX-License-Identifier: Apache-2.0
// Where an agent listens: once for everybody, and a second time for operators if it must be.

internal import OutriderEndpoint

/// The addresses of an agent, from code, from the environment, or by default.
struct Addresses {
    let main: ListenAddress
    /// For `/debug` alone; nil for none.
    let debug: ListenAddress?
    /// Whether somebody asked for that one.
    let isDebugWanted: Bool
    /// What is probably not meant so, with the remedy.
    let warning: String?

    init(_ configuration: Agent.Configuration, _ environment: Environment) {
        let main =
            configuration.address ?? environment.address ?? .passedToAgent ?? .loopback(port: 9464)
        self.main = main
        let given: Environment.DebugListener? =
            if !configuration.opensDebugListener {
                Environment.DebugListener.none
            } else if let address = configuration.debugAddress {
                .at(address)
            } else {
                environment.debugListener
            }
        switch given {
        case .at(let address): debug = address
        case Environment.DebugListener.none?: debug = nil
        case nil: debug = main.isLocal ? nil : .loopback(port: 9465)
        }
        isDebugWanted = given != nil
        // A sidecar can share a Unix socket; a loopback address cannot be reached from outside.
        let port = main.port.flatMap { $0 == 0 ? nil : $0 } ?? 9464
        warning =
            environment.isInKubernetes && main.isLocal && main.port != nil
            ? """
            this is a pod of Kubernetes, but the agent listens on \(main), where neither kubelet nor \
            Prometheus can reach it; set OUTRIDER_ADDRESS=0.0.0.0:\(port) and a NetworkPolicy. /debug then has a loopback listener of its own (kubectl port-forward)
            """ : nil
    }
}
