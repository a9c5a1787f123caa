//! `echoloop serve`: settings resolved, the server run, totals printed.

use std::fs;
use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::time::Duration;

use echoloop::probe::{Off, Probe, Recorder, Role};
use echoloop::reactor::{BufferSizes, Reactor, Timer};
use echoloop::server::{Address, Conduct, Config, Honest, Server};
use echoloop::service::{Console, Discard, Echo, Faults, Language, Service, Suffix};

use crate::args::{Listen, Reply, ServeArgs};
use crate::memory::{Memory, Notice};
use crate::output::{Destination, TextStream};
use crate::room::{connection_room, full_notice, max_conns};
use crate::signalled::Signalled;
use crate::socket_buffers::Buffer;
use crate::study::{self, Recorded, Study};
use crate::{FAILED, Failure, SIGNALLED, console, logger, names};

/// How long the server waits until the addresses are printed. A thread goes on with it after that: a
/// standard output that is full must not keep clients from being served.
const ANNOUNCE_WAIT: Duration = Duration::from_millis(50);

/// How long the end waits until the totals are printed.
const TOTALS_WAIT: Duration = Duration::from_secs(2);

/// Serves until a signal says stop.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    logger::set_direct(!args.console);
    let mut config = args.config();
    config.tcp = resolve(args.tcp(), "tcp")?;
    config.udp = resolve(args.udp(), "udp")?;
    config.check().map_err(Failure::Usage)?;
    let faults = args
        .faults
        .faults(!config.tcp.is_empty(), !config.udp.is_empty())
        .map_err(Failure::Usage)?;
    let trace = Destination::check_option("--trace", args.study.trace.as_ref())?;
    let text = TextStream::beside(&trace);
    text.check_watch(args.study.watch)?;
    let room = connection_room(args);
    config.max_conns = max_conns(args, room);
    let full = full_notice(args, room, config.max_conns);
    let room = room.connections;
    let memory = Memory::look();
    if args.is_unsent_max_default() {
        config.unsent_max = Some(memory.unsent_max());
    }
    warn_of_capped_backlog(config.backlog);
    warn_of_capped_buffers(&config.buffers);
    let memory = memory.notice(&config, room, args.reply.suffix_len(), args.console);
    warn_of_long_suffix(&config);
    if args.console {
        // A message is what one recv brings, as in the documents.
        config.read_ahead = config.recv_size;
        let language = args.lang.language();
        let console = Console::new(language);
        let bind = |reactor: &Reactor| Server::bind(reactor, config, console);
        let reactor = start_loop(Timer::Poll, language)?;
        let started = Started::new(reactor, text, &memory, bind)?;
        return console::run(started, language, full);
    }
    if faults.is_some() {
        log::warn!("faults are on: {}", args.faults.told());
    }
    let start = Start {
        args,
        trace: trace.as_ref(),
        memory,
    };
    match &args.reply {
        Reply::Discard => serve(&start, config, Discard, faults),
        Reply::Echo => serve(&start, config, Echo, faults),
        Reply::Suffix(suffix) => serve(&start, config, Suffix::new(suffix.as_bytes()), faults),
    }
}

/// What a server without a console is started with, beside its settings.
struct Start<'a> {
    args: &'a ServeArgs,
    trace: Option<&'a Destination>,
    memory: Notice,
}

fn serve(
    start: &Start<'_>,
    config: Config,
    service: impl Service,
    faults: Option<Faults>,
) -> Result<ExitCode, Failure> {
    // An injected delay must be as long as asked, whatever that costs. Otherwise events end most
    // sleeps.
    let delays = faults.as_ref().is_some_and(|faults| faults.delay.is_some());
    let reactor = start_loop(
        if delays { Timer::Spin } else { Timer::Timerfd },
        Language::English,
    )?;
    let memory = &start.memory;
    if start.args.study.is_on() {
        let recorder = study::recorder(&start.args.study);
        return match faults {
            None => watched(start, reactor, |reactor| {
                Server::bind_with(reactor, config, service, Honest, recorder)
            }),
            Some(faults) => watched(start, reactor, |reactor| {
                Server::bind_with_faults(reactor, config, service, &faults, recorder)
            }),
        };
    }
    match faults {
        None => Started::new(reactor, TextStream::Stdout, memory, |reactor| {
            Server::bind(reactor, config, service)
        })?
        .run(),
        Some(faults) => Started::new(reactor, TextStream::Stdout, memory, |reactor| {
            Server::bind_with_faults(reactor, config, service, &faults, Off)
        })?
        .run(),
    }
}

/// Serves, and shows how that is done.
fn watched<S: Service, C: Conduct>(
    start: &Start<'_>,
    reactor: Reactor,
    bind: impl FnOnce(&Reactor) -> io::Result<Server<S, C, Recorder>>,
) -> Result<ExitCode, Failure> {
    let text = TextStream::beside(start.trace);
    let trace = start.trace.map(Destination::open).transpose()?;
    let mut started = Started::new(reactor, text, &start.memory, bind)?;
    let name = name(started.server.server());
    let mut study = Study::begin(
        &start.args.study,
        (trace, text),
        Role::Server,
        &name,
        &started.reactor,
        started.server.recorder(),
    )?;
    started.announce(false, Language::English)?;
    let ran = started.reactor.run(&mut study.of(&mut started.server));
    // What follows may have to wait for a disk: a signal ends the program at once.
    started.server.detach();
    let tracing = study.finish(started.server.recorder());
    let aborted = started.server.is_aborted();
    let written = tracing.map_or(Ok(()), |tracing| tracing.finish(aborted));
    ran.map_err(|error| Failure::cannot("wait for events", &error))?;
    let code = started.finish(Language::English);
    written?;
    code
}

/// What this program is called in a view or a trace.
fn name(server: &Server<impl Service, impl Conduct, impl Probe>) -> String {
    let (tcp, udp) = (server.tcp_addresses(), server.udp_addresses());
    let tcp = tcp.iter().map(ToString::to_string);
    let udp = udp.iter().map(|address| format!("udp://{address}"));
    let all: Vec<String> = tcp.chain(udp).collect();
    format!("echoloop serve {}", all.join(" "))
}

/// A loop that sleeps by `timer`, or as well as it can.
fn start_loop(timer: Timer, language: Language) -> Result<Reactor, Failure> {
    let reactor = match Reactor::with_timer(timer) {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            if timer == Timer::Spin {
                log::warn!("delays are rounded up to whole milliseconds: {error}");
            }
            Reactor::new()
        }
        outcome => outcome,
    };
    reactor.map_err(|error| Failure::cannot_in(language, "start the loop", &error))
}

/// A server that can be reached, and the loop it is to be run on.
pub(crate) struct Started<S, C: Conduct = Honest, P: Probe = Off> {
    pub(crate) reactor: Reactor,
    pub(crate) server: Signalled<S, C, P>,
    /// Where addresses and totals are printed.
    pub(crate) text: TextStream,
}

impl<S: Service, C: Conduct, P: Probe> Started<S, C, P> {
    fn new(
        reactor: Reactor,
        text: TextStream,
        memory: &Notice,
        bind: impl FnOnce(&Reactor) -> io::Result<Server<S, C, P>>,
    ) -> Result<Self, Failure> {
        let server = bind(&reactor).map_err(|error| cannot_listen(&error))?;
        memory.log();
        Ok(Self {
            reactor,
            server: Signalled::new(server),
            text,
        })
    }

    /// Prints the addresses. Everything else must have succeeded before, because a script starts its
    /// clients then. From now on signals go to the loop. `terminal`: see [`Signalled::attach`].
    pub(crate) fn announce(&mut self, terminal: bool, language: Language) -> Result<(), Failure> {
        self.server
            .attach(&self.reactor, terminal)
            .map_err(|error| Failure::cannot_in(language, "watch for signals", &error))?;
        logger::set_direct(false);
        let lines = addresses(self.server.server());
        self.text.print_within(ANNOUNCE_WAIT, lines, language)?;
        Ok(())
    }

    /// Serves until a signal to stop, and prints the totals.
    fn run(mut self) -> Result<ExitCode, Failure> {
        self.announce(false, Language::English)?;
        self.reactor
            .run(&mut self.server)
            .map_err(|error| Failure::cannot("wait for events", &error))?;
        self.server.detach();
        self.finish(Language::English)
    }

    /// Prints the totals. Returns the exit code.
    pub(crate) fn finish(self, language: Language) -> Result<ExitCode, Failure> {
        // What was logged on the way comes before what came of it.
        logger::finish();
        let counters = self.server.server().counters();
        if !self
            .text
            .print_within(TOTALS_WAIT, format!("{counters}\n"), language)?
        {
            let stream = self.text;
            log::warn!(
                "the totals were not printed: {stream} has not taken them in {TOTALS_WAIT:?}"
            );
        }
        let turns = self.reactor.turns();
        log::debug!("{turns:?} {counters:?}");
        if let Some(signal) = self.server.stopped_by() {
            return Ok(ExitCode::from((SIGNALLED + signal) as u8));
        }
        let aborted = counters.clients.closed.aborted;
        if aborted > 0 {
            log::warn!("clients still being answered when the drain timeout ended: {aborted}");
            return Ok(ExitCode::from(FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The addresses of the server, a line each.
fn addresses(server: &Server<impl Service, impl Conduct, impl Probe>) -> String {
    let tcp = server
        .tcp_addresses()
        .into_iter()
        .map(|address| format!("listening tcp://{address}\n"));
    let udp = server
        .udp_addresses()
        .into_iter()
        .map(|address| format!("listening udp://{address}\n"));
    tcp.chain(udp).collect()
}

fn cannot_listen(error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            "; the port is taken, or asked for twice: stop who has it, or choose another (0: any)"
        }
        ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose a higher one",
        ErrorKind::AddrNotAvailable => "; this machine has no such address: see 'ip address'",
        _ => "",
    };
    Failure::Failed(format!("cannot listen on {error}{remedy}"))
}

/// Looks up the names among `listens`, each of which may stand for several addresses.
fn resolve(listens: Vec<Listen>, scheme: &str) -> Result<Vec<Address>, Failure> {
    let mut addresses = Vec::new();
    for Listen { host, port } in listens {
        if host.is_empty() {
            addresses.push(Address::Everywhere(port));
            continue;
        }
        let found = names::addresses(&host, port).map_err(|failure| {
            let address = names::host_and_port(&host, port);
            let why = |line| format!("cannot listen on {scheme}://{address}: {line}");
            match failure {
                Failure::Usage(line) => Failure::Usage(why(line)),
                Failure::Failed(line) => Failure::Failed(why(line)),
            }
        })?;
        let mut found = found.into_iter();
        addresses.extend(found.next().map(Address::At));
        addresses.extend(found.map(Address::SamePort));
    }
    Ok(addresses)
}

/// Warns if the suffix makes replies to short datagrams more than twice as long.
fn warn_of_long_suffix(config: &Config) {
    // The headers of IPv4, which are the shorter ones.
    const HEADERS: usize = 28;
    let size = config.udp_suffix.len();
    if config.udp_public && !config.udp_allow_amplification && size > HEADERS {
        log::warn!(
            "--udp-suffix has {size} bytes: datagrams of fewer than {} bytes get no reply, because it \
             would be more than twice as long; --udp-allow-amplification sends it",
            size - HEADERS
        );
    }
}

fn warn_of_capped_backlog(backlog: u32) {
    let path = "/proc/sys/net/core/somaxconn";
    let cap = fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(cap) = cap.filter(|&cap| cap < backlog) {
        log::warn!("--backlog {backlog} is capped at {cap} by the kernel (net.core.somaxconn)");
    }
}

fn warn_of_capped_buffers(sizes: &BufferSizes) {
    for (buffer, asked) in [(Buffer::Send, sizes.send), (Buffer::Receive, sizes.receive)] {
        // A size that is not set needs no look at the kernel.
        if asked.is_some()
            && let Some(sentence) = buffer.capped(asked, buffer.largest())
        {
            log::warn!("{sentence}");
        }
    }
}
