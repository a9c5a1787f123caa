//! The verifier by itself.

use crate::load::plan::{Reply, Verify};
use crate::load::schedule::message::SentMessage;
use crate::load::verify::pattern::Pattern;
use crate::load::verify::reply_verifier::{Expected, ReplyVerifier};

/// What the benchmarks measure: each call awaits the echo of a message of `size` bytes, 64 KiB at most, gets it, and says
/// whether it was right. No part of what this crate promises.
pub fn verifying(size: usize) -> impl FnMut() -> bool {
    let pattern = Pattern::random(1);
    let expected = Expected::new(pattern.clone(), Reply::Echo, Verify::Full);
    let mut answers = ReplyVerifier::new(0);
    move || {
        answers.await_one(SentMessage::on_time(0, size as u32));
        let mut answered = 0;
        let got = pattern.at(answers.place(), size);
        let right = answers.receive(got, &expected, |_| answered += 1);
        right.is_ok() && answered == 1
    }
}
