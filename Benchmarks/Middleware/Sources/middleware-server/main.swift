// SPDX-License-Identifier: Apache-2.0
// middleware-server none | outrider | hummingbird | hummingbird-noop
//
// Prints its port and serves until it is ended. `hummingbird` is the framework's own middleware on
// Outrider's swift-metrics factory, `hummingbird-noop` the same on a factory that records nothing.

import Glibc
import Hummingbird
import Logging
import Metrics
import OutriderHTTP
import OutriderHummingbird
import OutriderMetrics

let variant = CommandLine.arguments.dropFirst().first ?? "none"
let router = Router()
switch variant {
case "outrider":
    router.add(middleware: OutriderMiddleware(HTTPRequestRecorder()))
case "hummingbird":
    MetricsSystem.bootstrap(OutriderMetricsFactory())
    router.add(middleware: MetricsMiddleware())
case "hummingbird-noop":
    MetricsSystem.bootstrap(NOOPMetricsHandler.instance)
    router.add(middleware: MetricsMiddleware())
default:
    break
}
router.get("/hello/:id") { _, context in
    "hello \(context.parameters.get("id") ?? "")"
}
var logger = Logger(label: "middleware-server")
logger.logLevel = .error
let application = Application(
    router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
    onServerRunning: { channel in
        print(channel.localAddress?.port ?? 0)
        fflush(nil)
    }, logger: logger)
try await application.runService()
