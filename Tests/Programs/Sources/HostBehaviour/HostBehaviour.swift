// SPDX-License-Identifier: Apache-2.0
// Behaviour that a supervisor, a shell or a user observes of a program, one command at a time.
//
//     exit N        exits with a status
//     trap          ends like a Swift runtime error
//     hello         writes a line to standard output and one to standard error
//     wait          writes "ready", and waits for the end of its input, or for a signal
//     tell          prints the state of the process in the kernel, and its environment

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The command: the arguments, or HOST_ORDER, since Swift has no arguments if it cannot read /proc.
public func orders() -> [String] {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.isEmpty, let order = getenv("HOST_ORDER") else { return Array(arguments) }
    return String(cString: order).split(separator: " ").map(String.init)
}

/// Executes the command.
public func behave(_ arguments: [String]) {
    switch arguments.first {
    case "exit": exit(arguments.dropFirst().first.flatMap(Int32.init) ?? 0)
    case "trap": fatalError("as was asked for")
    case "hello":
        print("hello")
        complain("hello\n")
    case "wait":
        say("ready")
        while readLine() != nil {}
    case "tell": describeProcess()
    default: exit(64)
    }
}

/// Writes a line and flushes it.
public func say(_ text: String) {
    print(text)
    fflush(nil)
}

private func complain(_ text: String) {
    _ = text.utf8.withContiguousStorageIfAvailable {
        write(STDERR_FILENO, $0.baseAddress, $0.count)
    }
}

/// Prints the signals in /proc/self/status, the threads, descriptors, and the environment.
private func describeProcess() {
    guard let status = fopen("/proc/self/status", "r") else { return }
    var line = [CChar](repeating: 0, count: 512)
    while fgets(&line, Int32(line.count), status) != nil {
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let kept = ["SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "Threads", "Seccomp"]
        if kept.contains(where: { text.hasPrefix($0 + ":") }) { print(text, terminator: "") }
    }
    fclose(status)
    for descriptor in 0..<Int32(256) where fcntl(descriptor, F_GETFD) >= 0 {
        print("descriptor \(descriptor)")
    }
    var variables = environ
    while let variable = variables.pointee {
        print(String(cString: variable))
        variables += 1
    }
}
