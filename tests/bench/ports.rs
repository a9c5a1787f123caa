//! Local ports: those that a load uses, and those that it leaves to other programs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::json;
use super::process::{Process, program};
use super::support::namespace;

/// The only ports that the kernel gives to connections in these namespaces.
const PORTS: &str = "net/ipv4/ip_local_port_range";

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
        assert_eq!(json["messages"]["answered"], 9_000, "{json}");
        assert!(json["errors"].as_array().unwrap().is_empty(), "{json}");
        assert!(connects > 20);
    }
}
