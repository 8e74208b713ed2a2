// SPDX-License-Identifier: Apache-2.0
// Tests of the metrics of control groups, version 1 and 2.

import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Testing

@Suite struct ControlGroupTests {
    private static let cpuStat = """
        usage_usec 2500000
        user_usec 2000000
        system_usec 500000
        nr_periods 40
        nr_throttled 3
        throttled_usec 125000
        """ + "\n"
    private static let pressure =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"
        + "full avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n"

    /// A container with its own namespace, with version 2 alone.
    private static let unified = [
        "proc/self/cgroup": "0::/app\n",
        "proc/self/mountinfo":
            "22 1 0:20 / /proc rw - proc proc rw\n"
            + "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/app/cpu.stat": cpuStat,
        "sys/fs/cgroup/app/cpu.max": "max 100000\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/app/memory.current": "1048576\n",
        "sys/fs/cgroup/app/memory.max": "8388608\n",
        "sys/fs/cgroup/app/memory.swap.current": "4096\n",
        "sys/fs/cgroup/app/memory.events": "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\n",
        "sys/fs/cgroup/app/memory.stat": "anon 1000\nfile 2000\nkernel 300\nanon_thp 7\n",
        "sys/fs/cgroup/app/pids.current": "12\n", "sys/fs/cgroup/app/pids.max": "max\n",
        "sys/fs/cgroup/pids.max": "500\n",
        "sys/fs/cgroup/app/cpu.pressure": pressure,
        "sys/fs/cgroup/app/memory.pressure": pressure,
    ]

    /// Version 1, with separate controllers, mounted from the container's group on.
    private static let version1 = [
        "proc/self/cgroup":
            "4:memory:/docker/abc\n3:cpuacct,cpu:/docker/abc\n1:name=systemd:/docker/abc\n",
        "proc/self/mountinfo":
            "40 30 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
            + "41 30 0:31 /docker/abc /sys/fs/cgroup/cpu\\040acct ro - cgroup cgroup rw,cpu,cpuacct\n",
        "sys/fs/cgroup/cpu acct/cpuacct.usage": "7000000000\n",
        "sys/fs/cgroup/cpu acct/cpu.stat":
            "nr_periods 9\nnr_throttled 2\nthrottled_time 500000000\n",
        "sys/fs/cgroup/cpu acct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu acct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "2097152\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.memsw.usage_in_bytes": "2101248\n",
        "sys/fs/cgroup/memory/memory.failcnt": "6\n",
        "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "sys/fs/cgroup/memory/memory.stat": "cache 1\nrss 2\ntotal_cache 4000\ntotal_rss 3000\n",
    ]

    private func registry(
        _ files: [String: String], failures: SourceFailures = SourceFailures()
    ) throws -> (Registry, FakeProc) {
        let tree = try FakeProc(files)
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(
            ControlGroupCollector(
                proc: "\(tree.path)/proc", root: tree.path, failures: failures,
                pauses: ReadingPauses(of: "cgroup")))
        return (registry, tree)
    }

    @Test func `version 2 reports all metrics, including limits of ancestors`() throws {
        let failures = SourceFailures()
        let (registry, tree) = try registry(Self.unified, failures: failures)
        try registry.expect("cgroup_cpu_usage_seconds_total", 2.5)
        try registry.expect("cgroup_cpu_periods_total", 40)
        try registry.expect("cgroup_cpu_throttled_periods_total", 3)
        try registry.expect("cgroup_cpu_throttled_seconds_total", 0.125)
        try registry.expect("cgroup_cpu_limit_cores", 1.5)
        try registry.expect("cgroup_memory_usage_bytes", 1_048_576)
        try registry.expect("cgroup_memory_limit_bytes", 8_388_608)
        try registry.expect("cgroup_memory_swap_usage_bytes", 4_096)
        let events = ["low": 0.0, "high": 1, "max": 2, "oom": 3, "oom_kill": 4]
        for (event, count) in events {
            try registry.expect("cgroup_memory_events_total", ["event": event], count)
        }
        try registry.expect("cgroup_memory_kind_bytes", ["kind": "anonymous"], 1_000)
        try registry.expect("cgroup_memory_kind_bytes", ["kind": "kernel"], 300)
        try registry.expect("cgroup_pids", 12)
        try registry.expect("cgroup_pids_limit", 500)
        try registry.expect(
            "cgroup_pressure_seconds_total", ["resource": "cpu", "kind": "some"], 1.5)
        try registry.expect(
            "cgroup_pressure_seconds_total", ["resource": "memory", "kind": "full"], 0.25)
        #expect(
            registry.value("cgroup_pressure_seconds_total", ["resource": "io", "kind": "some"])
                == nil)
        #expect(!registry.text().contains("NaN"))
        try registry.register(failures)
        #expect(!registry.text().contains("outrider_source_failures_total{"))
        withExtendedLifetime(tree) {}
    }

    @Test func `version 1 reports what it has, and no limit if none is set`() throws {
        let (registry, tree) = try registry(Self.version1)
        try registry.expect("cgroup_cpu_usage_seconds_total", 7)
        try registry.expect("cgroup_cpu_throttled_seconds_total", 0.5)
        try registry.expect("cgroup_cpu_limit_cores", 0.5)
        try registry.expect("cgroup_memory_usage_bytes", 2_097_152)
        try registry.expect("cgroup_memory_swap_usage_bytes", 4_096)
        try registry.expect("cgroup_memory_events_total", ["event": "max"], 6)
        try registry.expect("cgroup_memory_events_total", ["event": "oom_kill"], 1)
        try registry.expect("cgroup_memory_kind_bytes", ["kind": "file"], 4_000)
        let text = registry.text()
        for absent in ["cgroup_memory_limit_bytes", "cgroup_pids", "cgroup_pressure"] {
            #expect(!text.contains("\n\(absent)"), "\(absent)")
        }
        withExtendedLifetime(tree) {}
    }

    @Test func `with both versions mounted, each controller is found at its mount`() throws {
        var files = Self.version1
        files["proc/self/cgroup"] = (Self.version1["proc/self/cgroup"] ?? "") + "0::/scope\n"
        files["proc/self/mountinfo"] =
            (Self.version1["proc/self/mountinfo"] ?? "")
            + "50 30 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        files["sys/fs/cgroup/unified/scope/cpu.pressure"] = Self.pressure
        files["sys/fs/cgroup/unified/scope/cpu.stat"] = "usage_usec 1\n"
        let (registry, tree) = try registry(files)
        try registry.expect("cgroup_cpu_usage_seconds_total", 7)
        try registry.expect("cgroup_memory_usage_bytes", 2_097_152)
        try registry.expect(
            "cgroup_pressure_seconds_total", ["resource": "cpu", "kind": "full"], 0.25)
        withExtendedLifetime(tree) {}
    }

    @Test func `the root group of version 2 has usage and no limits`() throws {
        let (registry, tree) = try registry([
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n",
            "cg/cpu.stat": "usage_usec 3000000\nuser_usec 1\nsystem_usec 2\n",
        ])
        try registry.expect("cgroup_cpu_usage_seconds_total", 3)
        #expect(!registry.text().contains("cgroup_cpu_periods_total"))
        #expect(!registry.text().contains("cgroup_memory"))
        withExtendedLifetime(tree) {}
    }

    @Test func `a process that moves to another group reports that one`() throws {
        let (registry, tree) = try registry(Self.unified)
        try registry.expect("cgroup_memory_usage_bytes", 1_048_576)
        try tree.write("sys/fs/cgroup/other/memory.current", "77\n")
        try tree.write("proc/self/cgroup", "0::/other\n")
        try registry.expect("cgroup_memory_usage_bytes", 77)
    }

    @Test(arguments: [
        ("memory.current", "cgroup_memory_usage_bytes", "12"),
        ("memory.current", "cgroup_memory_usage_bytes", "-1\n"),
        ("memory.current", "cgroup_memory_usage_bytes", "1 2\n"),
        ("memory.current", "cgroup_memory_usage_bytes", "20000 "),
        ("memory.max", "cgroup_memory_limit_bytes", "maximum\n"),
        ("memory.max", "cgroup_memory_limit_bytes", "99999999999999999999\n"),
        ("cpu.stat", "cgroup_cpu_usage_seconds_total", "usage_usec 25"),
        ("cpu.stat", "cgroup_cpu_usage_seconds_total", "usage_usec x\n"),
        ("memory.events", "cgroup_memory_events_total", "low\nhigh\n"),
        ("cpu.max", "cgroup_cpu_limit_cores", "100000 0\n"),
        ("cpu.max", "cgroup_cpu_limit_cores", "100000\n"),
        (
            "cpu.pressure", "cgroup_pressure_seconds_total{resource=\"cpu\"",
            "some total=1\nfull tot\n"
        ),
    ])
    func `the metrics of a malformed or truncated file are absent, and the failure is counted`(
        file: String, family: String, content: String
    ) throws {
        let failures = SourceFailures()
        var files = Self.unified
        files["sys/fs/cgroup/app/\(file)"] = content
        if file == "cpu.max" { files["sys/fs/cgroup/cpu.max"] = nil }
        let (registry, tree) = try registry(files, failures: failures)
        #expect(failures.count(of: file, .malformed) == 0)
        let text = registry.text()
        if file != "cpu.pressure" { #expect(!text.contains("\n\(family)")) }
        #expect(failures.count(of: file, .malformed) > 0)
        withExtendedLifetime(tree) {}
    }

    @Test func `a file is read only up to a size limit`() throws {
        let failures = SourceFailures()
        var files = Self.unified
        files["sys/fs/cgroup/app/memory.stat"] = String(repeating: "x 1\n", count: 100_000)
        let (registry, tree) = try registry(files, failures: failures)
        #expect(!registry.text().contains("cgroup_memory_kind_bytes{"))
        #expect(failures.count(of: "memory.stat", .tooLarge) > 0)
        withExtendedLifetime(tree) {}
    }

    @Test(arguments: [
        "", "0::app\n", "0:/app\n", "x::/app\n", "0::/app", "1::/app\n", "0:cpu:/app\n",
    ])
    func `a malformed list of groups is counted and yields no metrics`(list: String) throws {
        let failures = SourceFailures()
        var files = Self.unified
        files["proc/self/cgroup"] = list
        let (registry, tree) = try registry(files, failures: failures)
        #expect(!registry.text().contains("\ncgroup_"))
        #expect(failures.count(of: "self/cgroup", .malformed) == 1)
        withExtendedLifetime(tree) {}
    }

    @Test func `a group outside the mounted tree is not looked up`() throws {
        var files = Self.unified
        files["proc/self/cgroup"] = "0::/../../host\n"
        let (registry, tree) = try registry(files)
        #expect(!registry.text().contains("\ncgroup_memory"))
        withExtendedLifetime(tree) {}
    }

    @Test func `this machine's own groups can be read`() throws {
        let failures = SourceFailures()
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(
            ControlGroupCollector(
                proc: "/proc", root: "", failures: failures, pauses: ReadingPauses(of: "cgroup")))
        let text = registry.text()
        try registry.register(failures)
        #expect(!registry.text().contains("reason=\"malformed\""))
        if text.contains("cgroup_memory_usage_bytes ") {
            #expect(try #require(registry.value("cgroup_memory_usage_bytes")) > 0)
        }
    }
}
