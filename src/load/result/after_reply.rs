//! What happened after the last reply: a window that ends with the last reply does not contain it.

/// Messages and bytes after the last reply so far. Times are in nanoseconds since the load began.
#[derive(Debug)]
pub(crate) struct AfterReply {
    /// When that reply came.
    reply: u64,
    /// Messages sent to each server since a reply, and when that came. Those since an earlier reply do not count.
    sent: Vec<(u64, u64)>,
    bytes_sent: u64,
    bytes_received: u64,
}

impl AfterReply {
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            reply: 0,
            sent: vec![(0, 0); servers],
            bytes_sent: 0,
            bytes_received: 0,
        }
    }

    /// A reply came at `now`.
    #[inline]
    pub(crate) const fn replied(&mut self, now: u64) {
        (self.reply, self.bytes_sent, self.bytes_received) = (now, 0, 0);
    }

    /// A message was sent to `server` at `now`. What happens at the time of a reply is not after it.
    #[inline]
    pub(crate) fn sent(&mut self, server: u32, now: u64) {
        if now > self.reply {
            let (reply, count) = &mut self.sent[server as usize];
            *count = if *reply == self.reply { *count + 1 } else { 1 };
            *reply = self.reply;
        }
    }

    /// A message that was taken for sent to `server` at `sent` was not.
    pub(crate) fn withdraw(&mut self, server: u32, sent: u64) {
        let (reply, count) = &mut self.sent[server as usize];
        if sent > self.reply && *reply == self.reply {
            *count -= 1;
        }
    }

    /// Bytes were sent at `now`.
    #[inline]
    pub(crate) const fn wrote(&mut self, now: u64, bytes: usize) {
        if now > self.reply {
            self.bytes_sent += bytes as u64;
        }
    }

    /// Bytes were received. If they complete a reply, that is noted next.
    #[inline]
    pub(crate) const fn received(&mut self, bytes: usize) {
        self.bytes_received += bytes as u64;
    }

    /// Bytes sent, and received.
    pub(crate) const fn bytes(&self) -> [u64; 2] {
        [self.bytes_sent, self.bytes_received]
    }

    /// Messages sent to each server.
    pub(crate) fn messages(&self) -> impl Iterator<Item = u64> {
        let since = |&(reply, count)| if reply == self.reply { count } else { 0 };
        self.sent.iter().map(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(after: &AfterReply) -> (Vec<u64>, [u64; 2]) {
        (after.messages().collect(), after.bytes())
    }

    #[test]
    fn only_what_follows_the_last_reply_is_counted() {
        let mut after = AfterReply::new(2);
        after.sent(0, 5);
        after.wrote(5, 10);
        after.received(3);
        assert_eq!(counts(&after), (vec![1, 0], [10, 3]));
        after.replied(7);
        // At the time of the reply.
        after.sent(1, 7);
        after.wrote(7, 10);
        assert_eq!(counts(&after), (vec![0, 0], [0, 0]));
        after.sent(1, 8);
        after.sent(1, 9);
        after.withdraw(1, 9);
        after.withdraw(0, 5);
        assert_eq!(counts(&after), (vec![0, 1], [0, 0]));
    }
}
