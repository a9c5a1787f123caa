//! What one echoed message costs the server: user instructions, by valgrind, and system calls, by
//! strace. Counts, not times: the same on a busy machine as on a quiet one.
//!
//! ```text
//! cargo bench --bench hot_path [-- CONNECTIONS [OPTION OF SERVE]...]
//! ```
//!
//! The load is 64-byte messages in a closed loop (each connection sends its next when it has the answer
//! to its last, compared byte for byte) on 100 connections, from this process, over loopback. Needs
//! valgrind and strace (with the privilege to trace); what is missing is said and left out.

mod counts;

fn main() {
    // Cargo passes --bench to every benchmark.
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let connections = match arguments.first().map(|argument| argument.parse()) {
        Some(Ok(connections)) => {
            arguments.remove(0);
            connections
        }
        _ => 100,
    };
    println!(
        "{connections} connections, {}-byte messages, closed loop; serve {}",
        counts::MESSAGE,
        arguments.join(" ")
    );
    match counts::instructions(connections, &arguments) {
        Some(count) => {
            println!("{count:10.1}  user instructions a message   (target: at most 150)")
        }
        None => println!("         -  user instructions a message   (valgrind is not installed)"),
    }
    match counts::system_calls(connections, &arguments) {
        Some(calls) => {
            println!(
                "{:10.3}  system calls a message        (target: at most 2.1)",
                calls.all
            );
            println!("{:10.3}    of them recvfrom", calls.recvfrom);
            println!("{:10.3}    of them sendto", calls.sendto);
            println!("{:10.3}    of them epoll_wait", calls.epoll_wait);
            println!("{:10.3}    of them epoll_ctl", calls.epoll_ctl);
        }
        None => println!(
            "         -  system calls a message        (strace is not installed, or may not trace)"
        ),
    }
}
