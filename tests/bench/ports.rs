//! Local ports: those that a load uses, those that it leaves to other programs, and what happens
//! when they are used up.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, program};
use super::support::namespace;
use super::{bench, code, json, run, text};

/// The only ports that the kernel gives to connections in these namespaces.
const PORTS: &str = "net/ipv4/ip_local_port_range";

/// Whether the kernel reuses ports in `TIME_WAIT`: 0 never, 2 on loopback after a second.
const TIME_WAIT_REUSE: &str = "net/ipv4/tcp_tw_reuse";

/// A server on ports outside the ranges that these tests use.
fn serve(tcp: &str) -> Process {
    let mut command = Command::new(program());
    command.args(["-q", "serve", "--tcp", tcp, "--udp", "127.0.0.1:26214"]);
    Process::start(&mut command)
}

/// Each connection carries one message, so a run uses more connections than the range has ports.
#[test]
fn source_leaves_ephemeral_ports_to_other_programs() {
    if !namespace::enter("ports::source_leaves_ephemeral_ports_to_other_programs") {
        return;
    }
    for (source, server) in [("127.0.0.5", "127.0.0.1:26213"), ("::1", "[::1]:26215")] {
        let server = serve(server);
        let address = server.tcp[0];
        namespace::set(PORTS, "40000 45999");
        let load = thread::spawn(move || {
            let address = address.to_string();
            let rate = ["-c", "8", "-R", "2500", "-n", "9k", "--churn", "1"];
            json(&[&rate[..], &["--source", source, &address]].concat())
        });
        let other = TcpListener::bind((address.ip(), 26216)).unwrap();
        let nobody = SocketAddr::new(address.ip(), 26217);
        let mut connects = 0;
        while !load.is_finished() {
            // One connects, and one is refused: neither is without a port.
            TcpStream::connect(other.local_addr().unwrap()).unwrap();
            other.accept().unwrap();
            let refused = TcpStream::connect(nobody).unwrap_err();
            assert_eq!(
                refused.kind(),
                ErrorKind::ConnectionRefused,
                "after {connects}"
            );
            connects += 1;
            thread::sleep(Duration::from_millis(20));
        }
        let json: Value = load.join().unwrap();
        assert_eq!(json["messages"]["replied"], 9_000, "{json}");
        assert!(json["errors"].as_array().unwrap().is_empty(), "{json}");
        assert!(connects > 20);
    }
}

/// Takes all eight ports to `server`: each is in `TIME_WAIT` for a minute.
fn use_up_ports(server: SocketAddr) {
    namespace::set(PORTS, "40000 40007");
    namespace::set(TIME_WAIT_REUSE, "0");
    // On a slow machine a late reset can end a TIME_WAIT (RFC 1337), and its port is free again.
    for _ in 0..32 {
        match TcpStream::connect(server) {
            Ok(stream) => {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                // The server closes after us, so that ours is the end in TIME_WAIT.
                std::io::copy(&mut &stream, &mut std::io::sink()).unwrap();
            }
            Err(error) => return assert_eq!(error.kind(), ErrorKind::AddrNotAvailable),
        }
    }
    panic!("there are more than eight ports");
}

#[test]
fn used_up_ports_are_reported_with_their_number_and_a_remedy() {
    if !namespace::enter("ports::used_up_ports_are_reported_with_their_number_and_a_remedy") {
        return;
    }
    let server = serve("127.0.0.1:26213");
    use_up_ports(server.tcp[0]);
    let address = server.tcp[0].to_string();
    for source in [&[][..], &["--source", "127.0.0.1"]] {
        let output = bench(&[source, &["-n", "1", &address]].concat());
        let line = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 1, "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        for part in [
            "local ports",
            "8 sockets in TIME_WAIT",
            "--close rst",
            "--source",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("is --source an address"), "{line}");
        let output = run("doctor", &[source, &[&address]].concat());
        assert_eq!(code(&output), 1, "{output:?}");
        let told = text(&output);
        let ports: Vec<_> = told
            .lines()
            .filter(|line| line.contains("ports  "))
            .collect();
        assert_eq!(ports.len(), 1, "{told}");
        assert!(
            ports[0].starts_with("FAILS") && ports[0].contains("8 sockets in TIME_WAIT"),
            "{told}"
        );
    }
    // The remedy helps: another source address has all its ports.
    let output = bench(&["-n", "5", "--source", "127.0.0.9", &address]);
    assert_eq!(code(&output), 0, "{output:?}");
}

#[test]
fn ports_that_are_used_up_during_a_run_are_reported_with_their_number_and_exit_1() {
    let name =
        "ports::ports_that_are_used_up_during_a_run_are_reported_with_their_number_and_exit_1";
    if !namespace::enter(name) {
        return;
    }
    let server = serve("127.0.0.1:26213");
    namespace::set(PORTS, "40000 40019");
    namespace::set(TIME_WAIT_REUSE, "0");
    let address = server.tcp[0].to_string();
    let load = [
        "-n",
        "200",
        "--churn",
        "1",
        "--timeout",
        "200ms",
        "--drain",
        "200ms",
    ];
    let output = bench(&[&load[..], &[&address]].concat());
    assert_eq!(code(&output), 1, "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        line.contains("the local ports to 127.0.0.1:26213 are used up"),
        "{line}"
    );
    assert!(
        line.contains(" in TIME_WAIT") && !line.contains("--source is"),
        "{line}"
    );
    // The results up to then are reported, and the machine is blamed, not the server.
    assert!(text(&output).starts_with("CLIENT-LIMITED"), "{output:?}");
}

#[test]
fn doctor_notes_ports_in_time_wait_that_a_run_would_miss() {
    if !namespace::enter("ports::doctor_notes_ports_in_time_wait_that_a_run_would_miss") {
        return;
    }
    let server = serve("127.0.0.1:26213");
    use_up_ports(server.tcp[0]);
    // Two more ports than are in use: of an odd number the kernel leaves one out, by chance.
    namespace::set(PORTS, "40000 40009");
    let output = run("doctor", &["-c", "4", &server.tcp[0].to_string()]);
    let told = text(&output);
    assert!(
        told.lines()
            .any(|line| line.starts_with("note  ports") && line.contains("TIME_WAIT")),
        "{told}"
    );
    assert_eq!(code(&output), 0, "{told}");
}

/// Flows of datagrams need a port each as well, and the kernel reports their lack in another way.
#[test]
fn used_up_udp_ports_are_reported() {
    if !namespace::enter("ports::used_up_udp_ports_are_reported") {
        return;
    }
    let server = serve("127.0.0.1:26213");
    namespace::set(PORTS, "40000 40001");
    let any = || std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let _both = [any(), any()];
    let address = format!("udp://{}", server.udp[0]);
    for source in [&[][..], &["--source", "127.0.0.1"]] {
        let output = bench(&[source, &["-n", "1", &address]].concat());
        let line = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 1, "{line}");
        assert!(line.contains("local UDP ports are used up"), "{line}");
    }
}
