// SPDX-License-Identifier: Apache-2.0
// Where an agent listens: on a main address for every client, and on a second one for operators.

internal import OutriderEndpoint

/// The addresses of an agent, from code, from the environment, or by default.
struct Addresses {
    let main: ListenAddress
    /// For `/debug` alone; nil if it has no listener of its own.
    let debug: ListenAddress?
    /// Whether the main address serves `/debug` to local requests without a token, if it is a loopback address.
    let isDebugShared: Bool
    /// Whether code or the environment set `debug`.
    let isDebugWanted: Bool
    /// A setting that is probably a mistake, with the remedy.
    let warning: String?

    init(_ configuration: Agent.Configuration, _ environment: Environment) {
        let main =
            configuration.address ?? environment.address ?? .passedToAgent ?? .loopback(port: 9464)
        self.main = main
        let given = configuration.debugAddress ?? environment.debugAddress
        let place = given ?? .beside(main)
        if case .at(let address) = place.kind { debug = address } else { debug = nil }
        isDebugShared = place == .shared
        isDebugWanted = given != nil
        // A sidecar can share a Unix socket; a loopback address cannot be reached from outside.
        let port = main.port.flatMap { $0 == 0 ? nil : $0 } ?? 9464
        warning =
            environment.isInKubernetes && main.isLocal && main.port != nil
            ? """
            this is a pod of Kubernetes, but the agent listens on \(main), where neither kubelet nor \
            Prometheus can reach it; set OUTRIDER_ADDRESS=0.0.0.0:\(port) and a NetworkPolicy. /debug keeps a loopback address of its own (kubectl port-forward)
            """ : nil
    }
}
