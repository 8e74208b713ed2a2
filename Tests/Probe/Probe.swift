// SPDX-License-Identifier: Apache-2.0
// The library behind a pipe, for tests in other languages.
//
//     outrider-probe         responds to requests, one JSON object per line, until the end of input
//     outrider-probe idle    starts an agent on a free port, prints its URL, and waits for that end
//     outrider-probe bare    does the same without an agent, for comparison
//     outrider-probe serve   starts an agent with test pages, driven by its input (Serve.swift)
//     outrider-probe runtime starts an agent and a workload, driven by its input (RuntimeLab.swift)
//     outrider-probe flood   gives a label a million values, and prints memory use (Flood.swift)
//     outrider-probe stress  records from eight threads, and prints the counts (Stress.swift)
//     outrider-probe workload NAME   allocates as services do (Workload.swift)
//
// It keeps running between requests, so that a property test can send thousands of them.

import Foundation
import Outrider

@main
struct Probe {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.count == 2, arguments[0] == "workload" {
            return await Workload.run(arguments[1])
        }
        switch arguments {
        case []: answerRequests()
        case ["idle"]: await idle()
        case ["bare"]: await bare()
        case ["serve"]: Serve.run()
        case ["runtime"]: await RuntimeLab.run()
        case ["stress"]: Stress.run()
        case ["flood"]: Flood.run(count: 1_000_000)
        default:
            FileHandle.standardError.write(
                Data(
                    """
                    usage: outrider-probe \
                    [idle | bare | serve | runtime | flood | stress | workload NAME]

                    """.utf8))
            exit(2)
        }
    }

    private static func answerRequests() {
        let encoder = JSONEncoder()
        while let line = readLine() {
            let answer: Answer
            do {
                answer = try Exposition.answer(to: Data(line.utf8))
            } catch {
                answer = Answer(error: "\(error)")
            }
            // A response consists of text and bytes, which every encoder supports.
            guard let json = try? encoder.encode(answer) else { return }
            FileHandle.standardOutput.write(json + Data("\n".utf8))
        }
    }

    /// Does what services do early: encodes and decodes JSON, and uses the Swift executors.
    private static func serveABit() async {
        let order = ["articles": ["book", "pen"], "customer": ["Ada Lovelace, \(getpid())"]]
        if let json = try? JSONEncoder().encode(order),
            let read = try? JSONDecoder().decode([String: [String]].self, from: json)
        {
            precondition(read == order)
        }
        for priority in [TaskPriority.high, .medium, .low] {
            await Task.detached(priority: priority) {}.value
        }
    }

    /// The same service without an agent.
    private static func bare() async {
        await serveABit()
        FileHandle.standardOutput.write(Data("\n".utf8))
        while readLine() != nil {}
    }

    /// A service without work, in which only the agent is active.
    private static func idle() async {
        await serveABit()
        do {
            let agent = try Agent.start(.init(address: .loopback(port: 0)), onFailure: .throw)
            let url = agent.address?.url ?? ""
            FileHandle.standardOutput.write(Data("\(url)\n".utf8))
            while readLine() != nil {}
            agent.stop()
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(1)
        }
    }
}
