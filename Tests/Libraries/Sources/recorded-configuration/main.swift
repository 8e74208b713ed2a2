// SPDX-License-Identifier: Apache-2.0
// recorded-configuration FILE
//
// Watches a file with swift-configuration's reloading provider, which counts through swift-metrics.
// Once that has read another `shop.limit`, prints what was recorded, and ends.

import Configuration
import Glibc
import OutriderMetrics

let path = CommandLine.arguments[1]
let provider = try await ReloadingFileProvider<JSONSnapshot>(
    filePath: .init(path), pollInterval: .milliseconds(20), metrics: OutriderMetricsFactory())
Task.detached { try await provider.run() }
let configuration = ConfigReader(provider: provider)
let first = configuration.int(forKey: "shop.limit")
print("watching")
fflush(nil)
while configuration.int(forKey: "shop.limit") == first
    || !Registry.shared.text().contains("_reloads_total 1\n")
{
    try await Task.sleep(for: .milliseconds(20))
}
print(Registry.shared.text(), terminator: "")
