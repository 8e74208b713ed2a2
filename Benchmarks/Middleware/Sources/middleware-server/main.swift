// SPDX-License-Identifier: Apache-2.0
// middleware-server none | empty | outrider | hummingbird | hummingbird-noop
//
// Prints its port and serves until it is terminated. `hummingbird` is the framework's own
// middleware on Outrider's swift-metrics factory, `hummingbird-noop` the same on a factory that
// records nothing.

import Dispatch
import Glibc
import Hummingbird
import Logging
import Metrics
import OutriderHTTP
import OutriderHummingbird
import OutriderMetrics

/// The base cost of a middleware that is generic over its context.
struct EmptyMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        try await next(request, context)
    }
}

let variant = CommandLine.arguments.dropFirst().first ?? "none"
let router = Router()
switch variant {
case "empty":
    router.add(middleware: EmptyMiddleware())
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
// The main thread blocks: under valgrind, the main thread of an asynchronous `main` cannot exit.
let hasEnded = DispatchSemaphore(value: 0)
Task.detached {
    try? await application.runService()
    hasEnded.signal()
}
hasEnded.wait()
