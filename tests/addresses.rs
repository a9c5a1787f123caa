//! Names with several addresses, and link-local addresses with an interface, in every command.

#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::{NOISE, Process, program};
use socket2::{Domain, SockAddr, Socket, Type};
use support::namespace;

/// The name in the hosts file of these tests: `::1` is its first address, and 127.0.0.1 its second.
const NAME: &str = "two";

/// A hosts file in place of /etc/hosts, for the programs that it runs.
struct Hosts(PathBuf);

impl Hosts {
    /// Returns `None`, and prints the reason, if this machine can't run these tests.
    fn new(test: &str) -> Option<Self> {
        let name = format!("{}-hosts-{test}", std::process::id());
        let hosts = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::write(&hosts.0, format!("::1 {NAME}\n127.0.0.1 {NAME}\n")).unwrap();
        if TcpListener::bind("[::1]:0").is_err() {
            println!("{test}: skipped: this machine has no IPv6");
            return None;
        }
        let mut command = hosts.wrap("getent");
        let output = command.args(["ahosts", NAME]).output();
        if output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with("::1")) {
            Some(hosts)
        } else {
            println!("{test}: skipped: unshare(1) cannot create a mount namespace here");
            None
        }
    }

    /// A command in a mount namespace with this file.
    fn wrap(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.arg(if rustix::process::geteuid().is_root() {
            "-m"
        } else {
            "-Urm"
        });
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        command.args(["sh", "-c", script]).arg(&self.0).arg(program);
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        run(self.wrap(program()).args(arguments), input)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Runs `command` with `input` as its standard input.
fn run(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before it has read everything.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// A program that does not use the hosts file.
fn echoloop(arguments: &[&str], input: &str) -> Output {
    run(Command::new(program()).args(arguments), input)
}

/// Asserts the exit code, and that `parts` are in the output.
#[track_caller]
fn assert_output(output: &Output, code: i32, parts: &[&str]) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// `echoloop serve` at one port of 127.0.0.1 for TCP and UDP. At `::1` nothing has that port, unless
/// `silent` sockets do: they never reply.
fn serve(silent: bool) -> (Process, Vec<Socket>, u16) {
    loop {
        let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = reserved.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        let other = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)).into();
        let Some(sockets) = closed_or_silent(&other, silent) else {
            continue;
        };
        drop(reserved);
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(program());
        command.args(["-q", "serve", "--tcp", &address, "--udp", &address]);
        command.args(["--udp-suffix", ""]);
        return (Process::start(&mut command), sockets, port);
    }
}

/// A TCP socket that is bound to `address` and refuses connections; if it is to be `silent`, one with
/// a full backlog (the kernel drops every SYN), and a UDP socket.
fn closed_or_silent(address: &SockAddr, silent: bool) -> Option<Vec<Socket>> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.bind(address).ok()?;
    let mut sockets = vec![socket];
    if silent {
        let datagrams = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        datagrams.bind(address).ok()?;
        sockets[0].listen(0).unwrap();
        sockets.push(datagrams);
        for _ in 0..4 {
            let client = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(address);
            sockets.push(client);
        }
    }
    Some(sockets)
}

#[test]
fn connect_takes_the_second_address_if_the_first_is_silent() {
    let Some(hosts) = Hosts::new("connect") else {
        return;
    };
    let (_server, _silent, port) = serve(true);
    let start = Instant::now();
    let output = hosts.run(&["-v", "connect", &format!("{NAME}:{port}")], "hi");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let connected = format!("connected to 127.0.0.1:{port}");
    assert_output(&output, 0, &["hi", &connected]);
    let target = format!("udp://{NAME}:{port}");
    let output = hosts.run(&["connect", "--wait", "500ms", &target], "one\ntwo\n");
    assert_output(&output, 0, &[]);
    assert_eq!(output.stdout, b"one\ntwo\n");
}

#[test]
fn bench_uses_the_address_of_a_name_that_accepts_a_connection() {
    let Some(hosts) = Hosts::new("bench") else {
        return;
    };
    for silent in [false, true] {
        let (server, other, port) = serve(silent);
        let target = format!("{NAME}:{port}");
        let used = format!("tcp://{NAME}:{port} (127.0.0.1:{port})");
        let bench = [&["-v", "bench"], &NOISE[..], &["-n", "20", &target]].concat();
        let progress = format!("{target}: using 127.0.0.1:{port} (tried [::1]:{port}: ");
        assert_output(&hosts.run(&bench, ""), 0, &[&used, &progress]);
        drop(server);
        // The error of the first address, and the other address.
        let limited = [&bench[..], &["--connect-timeout", "400ms"]].concat();
        let why = if silent {
            "no answer within 400ms"
        } else {
            "refused"
        };
        let first = format!("cannot connect to [::1]:{port}: {why}");
        let second = format!("(tried 127.0.0.1:{port}: ");
        let output = hosts.run(&limited, "");
        assert_output(&output, 1, &[&first, &second]);
        drop(other);
    }
}

#[test]
fn bench_udp_moves_on_to_the_address_of_a_name_that_replies() {
    let Some(hosts) = Hosts::new("bench-udp") else {
        return;
    };
    for silent in [false, true] {
        let (server, other, port) = serve(silent);
        let target = format!("udp://{NAME}:{port}");
        let used = format!("{target} (127.0.0.1:{port})");
        let progress =
            format!("{NAME}:{port}: using 127.0.0.1:{port} ([::1]:{port} did not reply)");
        // The flows have sent one message each when the first is refused, or times out.
        let options = [
            "-c",
            "3",
            "-n",
            "200",
            "--timeout",
            "200ms",
            "--drain",
            "200ms",
        ];
        let bench = [&["-v", "bench"], &NOISE[..], &options, &[&target]].concat();
        let output = hosts.run(&bench, "");
        assert_output(&output, 0, &[&used, &progress, "loss 3 ("]);
        drop(server);
        let output = hosts.run(&bench, "");
        let refused = format!(
            "cannot connect to 127.0.0.1:{port}: refused: no program listens on that port, or a firewall rejects it (tried [::1]:{port} before)"
        );
        assert_output(&output, 1, &[&refused]);
        drop(other);
    }
}

#[test]
fn bench_opens_no_extra_connection_to_a_server_with_one_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut writer).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener.accept().is_err()
    });
    let bench = [&["bench"], &NOISE[..], &["-n", "20", &address]].concat();
    assert_output(&echoloop(&bench, ""), 0, &[]);
    assert!(accepting.join().unwrap());
}

#[test]
fn doctor_reports_every_address_that_it_tried_and_the_one_in_use() {
    let Some(hosts) = Hosts::new("doctor") else {
        return;
    };
    for silent in [false, true] {
        let (server, _other, port) = serve(silent);
        let why = if silent {
            "no reply in time"
        } else {
            "refused"
        };
        for (target, replied) in [
            (format!("{NAME}:{port}"), "a connection"),
            (format!("udp://{NAME}:{port}"), "a datagram"),
        ] {
            let output = hosts.run(&["doctor", &target], "");
            assert_output(&output, 0, &["in use for two:"]);
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines = text
                .lines()
                .filter(|line| line.contains("server          "));
            let (first, last) = (lines.next().unwrap(), lines.next().unwrap());
            assert!(
                first.starts_with(&format!("note  server          [::1]:{port} ")),
                "{text}"
            );
            assert!(target.starts_with("udp") || first.contains(why), "{text}");
            assert!(!first.contains("start it"), "{text}");
            let used = format!("ok    server          127.0.0.1:{port} answers {replied} in ");
            assert!(last.starts_with(&used) && lines.next().is_none(), "{text}");
        }
        drop(server);
        if !silent {
            let output = hosts.run(&["doctor", &format!("{NAME}:{port}")], "");
            let failed = |address| format!("FAILS server          {address}:{port} can't be");
            assert_output(&output, 1, &[&failed("[::1]"), &failed("127.0.0.1")]);
        }
    }
}

#[test]
fn only_addresses_of_the_family_of_the_source_are_tried() {
    let Some(hosts) = Hosts::new("source") else {
        return;
    };
    let (_server, _silent, port) = serve(true);
    let target = format!("{NAME}:{port}");
    let source = ["--source", "127.0.0.1"];
    let output = hosts.run(
        &[&["-v", "connect"], &source[..], &[&target]].concat(),
        "hi",
    );
    assert_output(&output, 0, &["hi"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!log.contains("::1"), "{log}");
    let bench = [&["bench"], &NOISE[..], &source, &["-n", "5", &target]].concat();
    assert_output(&hosts.run(&bench, ""), 0, &[&format!("tcp://{target}")]);
    for command in ["connect", "bench", "doctor"] {
        for scheme in ["tcp", "udp"] {
            let target = format!("{scheme}://127.0.0.1:{port}");
            let output = echoloop(&["-q", command, "--source", "::1", &target], "");
            assert_output(&output, 2, &["IPv4 or IPv6"]);
            assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
        }
    }
}

#[test]
fn link_local_addresses_have_an_interface_in_every_command() {
    if !namespace::enter("link_local_addresses_have_an_interface_in_every_command") {
        return;
    }
    for ip in ["fe80::77/64", "fe80::78/64", "fd00::77/64"] {
        let add = ["-6", "addr", "add", ip, "dev", "lo", "nodad"];
        if !Command::new("ip").args(add).status().unwrap().success() {
            println!("skipped: this machine has no IPv6");
            return;
        }
    }
    let mut command = Command::new(program());
    let (tcp, udp) = ("[fe80::77%lo]:25555", "[fe80::77%1]:25556");
    command.args(["-q", "serve", "--tcp", tcp, "--udp", udp, "--udp-public"]);
    let _server = Process::start(command.args(["--udp-suffix", ""]));
    for interface in ["lo", "1"] {
        let (tcp, udp) = (
            format!("[fe80::77%{interface}]:25555"),
            format!("udp://[fe80::77%{interface}]:25556"),
        );
        for target in [&tcp, &udp] {
            for source in [
                &[][..],
                &["--source", "fe80::78%lo"],
                &["--source", "fe80::78%1"],
            ] {
                let connect = [&["connect"], source, &[target]].concat();
                let output = echoloop(&connect, "hi\n");
                assert_output(&output, 0, &[]);
                assert_eq!(output.stdout, b"hi\n");
                let bench = [&["bench"], &NOISE[..], source, &["-n", "20", target]].concat();
                assert_output(&echoloop(&bench, ""), 0, &[]);
                let doctor = [&["doctor"], source, &[target]].concat();
                assert_output(&echoloop(&doctor, ""), 0, &["[fe80::77%1]:2555"]);
            }
        }
    }
    // The source keeps its interface if the address of the server has none.
    let mut command = Command::new(program());
    let tcp = "[fd00::77]:25555";
    let _other = Process::start(command.args(["-q", "serve", "--tcp", tcp]));
    let source = ["--source", "fe80::78%lo", "--json", "-"];
    let servers = [tcp, "[fe80::77%lo]:25555"];
    let bench = [
        &["-q", "bench"],
        &NOISE[..],
        &source,
        &["-n", "20"],
        &servers,
    ]
    .concat();
    let output = echoloop(&bench, "");
    assert_output(&output, 0, &["fe80::78%1"]);
    // Nothing listens at this port.
    let refused = ["connect", "--source", "fe80::77%lo", "[fe80::77%lo]:9"];
    assert_output(&echoloop(&refused, ""), 1, &["[fe80::77%1]:9: refused"]);
}

#[test]
fn missing_and_unknown_interfaces_are_usage_errors_in_one_line() {
    for (arguments, part) in [
        (&["connect", "[fe80::77]:9"][..], "write [fe80::77%eth0]:9"),
        (
            &["connect", "udp://[fe80::77]:9"],
            "write [fe80::77%eth0]:9",
        ),
        (&["bench", "[fe80::77]:9"], "write [fe80::77%eth0]:9"),
        (&["doctor", "[fe80::77]:9"], "write [fe80::77%eth0]:9"),
        (
            &["serve", "--tcp", "[fe80::77]:9"],
            "write [fe80::77%eth0]:9",
        ),
        (
            &["serve", "--udp", "[fe80::77%nope]:9"],
            "cannot listen on udp://[fe80::77%nope]:9: ",
        ),
        (&["connect", "[fe80::77%nope]:9"], "no interface 'nope'"),
        (&["bench", "[fe80::77%nope]:9"], "no interface 'nope'"),
        (
            &["connect", "[fe80::77%987654]:9"],
            "no interface of that number",
        ),
        (
            &["connect", "--source", "fe80::77%nope", "[::1]:9"],
            "no interface 'nope'",
        ),
        (
            &["bench", "--source", "fe80::77%nope", "[::1]:9"],
            "no interface 'nope'",
        ),
        (
            &["connect", "--source", "fe80::77", "[::1]:9"],
            "write fe80::77%eth0",
        ),
        (
            &["doctor", "--source", "fe80::77", "[::1]:9"],
            "write fe80::77%eth0",
        ),
    ] {
        let output = echoloop(arguments, "");
        assert_output(&output, 2, &[part]);
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn addresses_of_a_name_share_the_port_that_the_system_chooses() {
    let Some(hosts) = Hosts::new("ports") else {
        return;
    };
    let name = format!("{NAME}:0");
    for options in [["--tcp", &name, "--no-udp"], ["--udp", &name, "--no-tcp"]] {
        let mut command = hosts.wrap(program());
        let mut server = Process::start(command.args(["-q", "serve"]).args(options));
        let addresses = [&mut server.tcp, &mut server.udp]
            .map(std::mem::take)
            .concat();
        let [one, other] = addresses[..] else {
            panic!("{addresses:?}");
        };
        assert!(one.is_ipv6() && other.is_ipv4(), "{addresses:?}");
        assert_eq!(one.port(), other.port());
    }
}

#[test]
fn multicast_and_broadcast_addresses_are_usage_errors_in_one_line() {
    for (address, kind) in [
        ("224.0.0.251", "224.0.0.251 is a multicast address"),
        ("[ff02::1%lo]", "ff02::1 is a multicast address"),
        (
            "255.255.255.255",
            "255.255.255.255 is the broadcast address",
        ),
        (
            "127.255.255.255",
            "127.255.255.255 is the broadcast address of lo",
        ),
    ] {
        let (tcp, udp) = (format!("{address}:9"), format!("udp://{address}:9"));
        let source = address.trim_matches(['[', ']']);
        for arguments in [
            &["serve", "--tcp", &tcp, "--no-udp"][..],
            &["serve", "--no-tcp", "--udp", &tcp, "--udp-public"],
            &["connect", &tcp],
            &["connect", &udp],
            &["bench", &tcp],
            &["bench", &udp],
            &["doctor", &tcp],
            &["connect", "--source", source, "[::1]:9"],
            &["bench", "--source", source, "127.0.0.1:9"],
        ] {
            // A server that is not refused would listen for ever.
            let mut command = Command::new("timeout");
            let output = run(command.args(["30", program()]).args(arguments), "");
            assert_output(&output, 2, &[kind, "give "]);
            let line = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}
