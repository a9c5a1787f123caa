//! What a server is to get wrong, as typed.

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;
use echoloop::service::{Delay, Faults, Stall};

use crate::units::{nonzero_size, percent, size, time};

/// Every fault there is, for who has named none.
const ALL: &str = "write stall:TIME@TIME, delay:TIME, delay:exp:TIME, corrupt:N, slice:N, close:N, reset:N, \
udp-drop:P%, udp-dup:P% or udp-reorder:P%";

/// Faults to commit, and what they are drawn from.
#[derive(Args, Debug)]
pub(crate) struct FaultArgs {
    /// Misbehave on purpose, to prove clients with, as listed below; repeatable, once for each kind but
    /// stalls
    #[arg(long = "fault", value_name = "SPEC", conflicts_with = "console")]
    specs: Vec<Spec>,
    /// What everything random about the faults is drawn from: the same again with the same number
    #[arg(long, value_name = "N", default_value = "1", value_parser = seed, requires = "specs")]
    seed: u64,
}

/// One fault, and how it was typed.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    fault: Fault,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Fault {
    Stall(Stall),
    Delay(Delay),
    Corrupt(u64),
    Slice(NonZeroUsize),
    Close(u64),
    Reset(u64),
    Drop(f64),
    Duplicate(f64),
    Reorder(f64),
}

impl FaultArgs {
    /// The faults to commit, if there are any, or why they can't be.
    pub(crate) fn faults(&self, tcp: bool, udp: bool) -> Result<Option<Faults>, String> {
        if self.specs.is_empty() {
            return Ok(None);
        }
        for Spec { fault, text } in &self.specs {
            let (needed, there) = match fault {
                Fault::Stall(_) => continue,
                Fault::Drop(_) | Fault::Duplicate(_) | Fault::Reorder(_) => ("udp", udp),
                _ => ("tcp", tcp),
            };
            if !there {
                return Err(format!(
                    "--fault {text} could not happen to anybody: leave --no-{needed} out"
                ));
            }
        }
        let mut faults = Faults {
            seed: self.seed,
            ..Faults::default()
        };
        for (index, Spec { fault, text }) in self.specs.iter().enumerate() {
            let same = |other: &Spec| kind(&other.text) == kind(text);
            let again = self.specs[..index].iter().any(same);
            match *fault {
                Fault::Stall(stall) => faults.stalls.push(stall),
                _ if again => {
                    let kind = kind(text);
                    return Err(format!(
                        "--fault {kind} is given twice: give one {kind}, only stalls can be several"
                    ));
                }
                Fault::Delay(delay) => faults.delay = Some(delay),
                Fault::Corrupt(offset) => faults.corrupt = Some(offset),
                Fault::Slice(size) => faults.slice = Some(size),
                Fault::Close(count) => faults.close = Some(count),
                Fault::Reset(count) => faults.reset = Some(count),
                Fault::Drop(odds) => faults.odds.drop = odds,
                Fault::Duplicate(odds) => faults.odds.duplicate = odds,
                Fault::Reorder(odds) => faults.odds.reorder = odds,
            }
        }
        faults.check()?;
        Ok(Some(faults))
    }

    /// The faults as they were typed, and the seed.
    pub(crate) fn told(&self) -> String {
        let specs: Vec<&str> = self.specs.iter().map(|spec| spec.text.as_str()).collect();
        format!("{} (--seed {})", specs.join(", "), self.seed)
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').ok_or(ALL)?;
        let offset = |value| size(value).map(|size| size as u64);
        let fault = match kind {
            "stall" => Fault::Stall(stall(value)?),
            "delay" => Fault::Delay(match value.strip_prefix("exp:") {
                Some(mean) => Delay::Exponential(time(mean)?),
                None => Delay::Constant(time(value)?),
            }),
            "corrupt" => Fault::Corrupt(offset(value)?),
            "slice" => Fault::Slice(nonzero_size(value)?),
            "close" => Fault::Close(offset(value)?),
            "reset" => Fault::Reset(offset(value)?),
            "udp-drop" => Fault::Drop(percent(value)?),
            "udp-dup" => Fault::Duplicate(percent(value)?),
            "udp-reorder" => Fault::Reorder(percent(value)?),
            _ => return Err(ALL.to_owned()),
        };
        let text = text.to_owned();
        Ok(Self { fault, text })
    }
}

fn kind(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

fn stall(text: &str) -> Result<Stall, String> {
    let (length, at) = text.split_once('@').ok_or(
        "write stall:TIME@TIME, such as stall:1s@5s: how long, and how long after the first client or \
         datagram came",
    )?;
    Ok(Stall {
        length: time(length)?,
        at: time(at)?,
    })
}

fn seed(text: &str) -> Result<u64, String> {
    // `parse` alone would take a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let seed = text.parse().ok().filter(|_| digits);
    seed.ok_or_else(|| format!("write a number from 0 to {}", u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn faults(options: &str) -> Result<Option<Faults>, String> {
        let argv = format!("echoloop serve {options}");
        let cli = Cli::try_parse_from(argv.split_whitespace()).unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("{cli:?}")
        };
        args.faults.faults(true, true)
    }

    #[test]
    fn every_fault_is_understood() {
        let ms = Duration::from_millis;
        let typed = "--seed 42 --fault stall:1s@5s --fault stall:20ms@0 --fault delay:exp:2ms \
            --fault corrupt:1k --fault slice:1 --fault close:0 --fault reset:2M --fault udp-drop:1% \
            --fault udp-dup:0.5% --fault udp-reorder:2%";
        let faults = faults(typed).unwrap().unwrap();
        let stall = |length, at| Stall {
            length: ms(length),
            at: ms(at),
        };
        assert_eq!(faults.stalls, [stall(1000, 5000), stall(20, 0)]);
        assert_eq!(faults.delay, Some(Delay::Exponential(ms(2))));
        assert_eq!((faults.corrupt, faults.close), (Some(1024), Some(0)));
        assert_eq!(faults.slice, NonZeroUsize::new(1));
        assert_eq!((faults.reset, faults.seed), (Some(2 << 20), 42));
        let odds = faults.odds;
        assert_eq!(
            (odds.drop, odds.duplicate, odds.reorder),
            (0.01, 0.005, 0.02)
        );
    }

    #[test]
    fn there_are_none_unless_asked_for_and_then_from_a_fixed_seed() {
        assert_eq!(faults(""), Ok(None));
        let faults = faults("--fault delay:2ms").unwrap().unwrap();
        assert_eq!(
            faults.delay,
            Some(Delay::Constant(Duration::from_millis(2)))
        );
        assert_eq!(faults.seed, 1);
    }

    #[test]
    fn faults_that_exclude_each_other_are_refused() {
        let twice = faults("--fault delay:2ms --fault slice:1 --fault delay:exp:2ms");
        assert!(twice.unwrap_err().contains("--fault delay is given twice"));
        let sum = faults("--fault udp-drop:60% --fault udp-dup:50%");
        assert!(sum.unwrap_err().contains("at most 100% in all"));
    }
}
