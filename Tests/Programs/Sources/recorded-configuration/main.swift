// SPDX-License-Identifier: Apache-2.0
// recorded-configuration FILE
//
// Watches a file with swift-configuration's reloading provider, which records through
// swift-metrics. For each line of its input, prints the recorded metrics and a line `end`.

import Configuration
import Glibc
import OutriderMetrics

let path = CommandLine.arguments[1]
let provider = try await ReloadingFileProvider<JSONSnapshot>(
    filePath: .init(path), pollInterval: .milliseconds(20), metrics: OutriderMetricsFactory())
Task.detached { try await provider.run() }
while readLine() != nil {
    print(Registry.shared.text() + "end")
    fflush(nil)
}
