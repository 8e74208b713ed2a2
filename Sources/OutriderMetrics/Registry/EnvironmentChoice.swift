// SPDX-License-Identifier: Apache-2.0
// Settings from environment variables, used where code does not set them.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An environment variable whose value is one of a few words, or a number.
enum EnvironmentChoice {
    /// The one of `choices` that a variable names; the first if the variable is empty, not set or
    /// not recognized, which is logged.
    static func read<Choice: CustomStringConvertible>(
        _ variable: String, _ choices: [Choice], log: DiagnosticLog
    ) -> Choice {
        // SAFETY: the text is copied at once. getenv(3) races only with setenv(3) in another
        // thread.
        guard let value = unsafe getenv(variable) else { return choices[0] }
        let name = unsafe String(cString: value)
        if name.isEmpty { return choices[0] }
        if let choice = choices.first(where: { $0.description == name }) { return choice }
        let known = choices.map(\.description).joined(separator: ", ")
        log.report(
            .warning, about: variable,
            "\(variable) is \"\(name)\", which is not one of \(known); it is ignored")
        return choices[0]
    }

    /// The number in a variable; `standard` if it is empty, not set or not a positive number, which
    /// is logged.
    static func positiveInteger(_ variable: String, else standard: Int, log: DiagnosticLog) -> Int {
        // SAFETY: as above.
        guard let value = unsafe getenv(variable) else { return standard }
        let text = unsafe String(cString: value)
        if text.isEmpty { return standard }
        if let number = Int(text), number > 0 { return number }
        log.report(
            .warning, about: variable,
            "\(variable) is \"\(text)\", which is not a positive number; it is ignored")
        return standard
    }
}
