// SPDX-License-Identifier: Apache-2.0
// recorded-configuration FILE
//
// Watches a file with swift-configuration's reloading provider, which counts through swift-metrics.
// Once the file has another `shop.limit` than at the start, prints what was recorded, and ends.

import Configuration
import Glibc
import OutriderMetrics

let path = CommandLine.arguments[1]
let provider = try await ReloadingFileProvider<JSONSnapshot>(
    filePath: .init(path), pollInterval: .milliseconds(20), metrics: OutriderMetricsFactory())
let running = Task { try await provider.run() }
let configuration = ConfigReader(provider: provider)
let first = configuration.int(forKey: "shop.limit")
print("watching")
fflush(nil)
try await configuration.watchInt(forKey: "shop.limit") { updates in
    for await value in updates where value != first { break }
}
running.cancel()
_ = await running.result
print(Registry.shared.text(), terminator: "")
