//! What a person is told, in the languages there are: one table.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use super::Language;
use crate::connection::CloseReason;

/// Something to tell a person.
#[derive(Clone, Copy, Debug)]
pub enum Phrase<'a> {
    /// How the console is used.
    Welcome,
    /// What can be typed at the console.
    Help,
    /// A client has connected.
    Arrived(SocketAddr),
    /// A client has ended its side, and is still promised answers.
    Ended,
    /// A client that has ended its side has waited for its answers while many others did, and was given up.
    GivenUp,
    /// A client is gone.
    Left(CloseReason),
    /// The message that is to be answered now follows. This number of other messages wait.
    Reminder(usize),
    /// An empty line was entered: the message still waits.
    StillWaits,
    /// A message gets no answer.
    Unanswered,
    /// There is no message to answer.
    NobodyWaits,
    /// The message that a line was to answer has been seen to, or its sender has left.
    TooLate,
    /// Nobody has this number.
    NoSuchClient(u64),
    /// This is no command.
    NoSuchCommand(&'a str),
    /// A line is too long to be sent.
    TooLong,
    /// A command was typed wrong. This is right.
    Usage(&'a str),
    /// One client, and how many of its messages are to be answered.
    Client(SocketAddr, usize),
    /// So many more clients.
    MoreClients(usize),
    /// There is no client.
    NobodyHere,
    /// Something was sent to so many clients.
    SentToAll(usize),
    /// This number of lines was sent as one reply.
    SentAsOne(usize),
    /// The last characters of a message, this number of them, are left out.
    Shortened(usize),
    /// So many lines were not shown.
    NotShown(u64),
    /// This number of notices about clients that come and go were left out.
    MoreNotices(u64),
    /// The server stops.
    Stopping,
    /// A client was not sent what it was to be sent.
    Undelivered,
    /// Nobody is left to answer.
    InputEnded,
    /// A key was pressed that is no text.
    Unreadable,

    /// The server is connected to.
    Connected(SocketAddr),
    /// Datagrams go to this address.
    Sending(SocketAddr),
    /// The server has ended the conversation.
    ServerHungUp,
    /// The server has ended its side, and lines are still sent.
    ServerFinished,
    /// The person has ended the conversation.
    YouHungUp,
    /// The datagram of this number was not answered, for this reason.
    NoAnswer(u64, &'a str),
    /// The answer to the datagram of this number did not come within this time.
    NoAnswerWithin(u64, Duration),
    /// The datagram of this number was refused.
    DatagramRefused(u64),
    /// The datagram of this number was not sent: it has this many bytes, more than the last number.
    DatagramTooLong(u64, &'a str, usize),
    /// So many datagrams were not answered, of so many.
    NotAnswered(u64, u64),
    /// This address refused the connection.
    Refused(SocketAddr),
    /// There is no way to this address.
    Unreachable(SocketAddr),
    /// This address can't be connected to from the source that was given, for this reason.
    NotFromHere(SocketAddr, &'a str),
    /// This address can't be connected to, for this reason.
    NotConnected(SocketAddr, &'a str),
    /// This address did not answer within this time.
    ConnectTimeout(SocketAddr, Duration),
    /// The server has reset the connection.
    Reset,
    /// The connection was lost, for this reason.
    Lost(&'a str),
    /// The connection has ended with this number of bytes unsent.
    NotTaken(usize),
    /// What is to be said can't be read, for this reason.
    InputFailed(&'a str),
    /// What came can't be written, for this reason.
    OutputFailed(&'a str),
    /// A datagram can't be sent to this address, for this reason.
    NotSendable(SocketAddr, &'a str),
    /// No address of this host is known.
    NoAddress(&'a str),
    /// The program can't start or go on, for this reason.
    CannotRun(&'a str),
    /// A line of the input is longer than 64 KiB.
    LineTooLong,
    /// A line of the input is not UTF-8.
    LineNotText,
    /// The operator's terminal or pipe can't be written to, for this reason.
    NotAllShown(&'a str),
    /// There is no room for more clients, because a line editor allows this number.
    EditorLimit(usize),
    /// The same, because the limit of open files allows this number.
    FileLimit(usize),
}

impl Phrase<'_> {
    /// In English and in Chinese. What is told of goes where the braces are.
    #[rustfmt::skip]
    const fn templates(self) -> (&'static str, &'static str) {
        match self {
            Self::Welcome => (
                "A line answers the message that the prompt names; quit disconnects its sender.\n\
                 /help lists what else there is. Ctrl-D or Ctrl-C stops the server.",
                "输入一行，即答复提示符所指的消息；输入 quit 则断开它的发送者。\n\
                 /help 列出其他命令。按 Ctrl-D 或 Ctrl-C 停止服务。",
            ),
            Self::Help => (HELP_ENGLISH, HELP_CHINESE),
            Self::Arrived(_) => ("connected from {}", "已接入，来自 {}"),
            Self::Ended => ("sends no more; it may still read a reply", "不再发送，可能仍在接收答复"),
            Self::GivenUp => ("was disconnected: too many clients that send no more wait for replies", "已被断开：不再发送却等待答复的客户端太多"),
            Self::Left(CloseReason::PeerClosed) => ("has left", "离开了"),
            Self::Left(CloseReason::HungUp) => ("was disconnected", "已被断开"),
            Self::Left(CloseReason::Drained | CloseReason::Aborted) => ("was disconnected: the server stops", "已被断开：服务停止"),
            Self::Left(CloseReason::IdleTimeout) => ("was disconnected: idle for too long", "已被断开：空闲太久"),
            Self::Left(CloseReason::FirstByteTimeout) => ("was disconnected: it sent nothing in time", "已被断开：迟迟没有发送任何内容"),
            Self::Left(CloseReason::Evicted) => ("was disconnected: it was idle longest, and new clients have come", "已被断开：有新客户端接入，而对方空闲最久"),
            Self::Left(CloseReason::OwedTooMuch) => ("was disconnected: it reads too slowly", "已被断开：对方接收太慢，积压过多"),
            Self::Left(CloseReason::WriteStalled) => ("was disconnected: it does not read", "已被断开：对方不再接收"),
            Self::Left(CloseReason::Failed(_)) => ("was lost: {}", "连接中断：{}"),
            Self::Reminder(0) => ("said:", "刚才说："),
            Self::Reminder(_) => ("said ({} more to answer):", "刚才说（另有 {} 条待答）："),
            Self::StillWaits => ("still waits for a reply: type one, or /skip", "仍在等待答复：请输入答复，或用 /skip 略过"),
            Self::Unanswered => ("gets no answer", "这条不作答复"),
            Self::NobodyWaits => ("Nobody waits for an answer. /to N TEXT and /all TEXT send unasked.", "没有待答的消息。可用 /to N TEXT 或 /all TEXT 主动发送。"),
            Self::TooLate => ("no longer waits for that answer: nothing was sent", "已不再等这条答复，什么也没有发送"),
            Self::NoSuchClient(_) => ("Nobody here is #{}. /clients lists who is.", "没有 #{} 号。/clients 列出在线的人。"),
            Self::NoSuchCommand(_) => ("There is no command {}: see /help. To answer with a line that begins with /, type // instead.", "没有 {} 这个命令，见 /help。答复若以 / 开头，请改用 //。"),
            Self::TooLong => ("That is longer than 64 KiB: nothing was sent.", "超过 64 KiB，什么也没有发送。"),
            Self::Usage(_) => ("Type it like this: {}", "请这样输入：{}"),
            Self::Client(_, 0) => ("{}", "{}"),
            Self::Client(..) => ("{}, {} to answer", "{}，{} 条待答"),
            Self::MoreClients(_) => ("... and {} more", "……另有 {} 人"),
            Self::NobodyHere => ("Nobody is connected.", "没有人在线。"),
            Self::SentToAll(_) => ("Sent to {}.", "已发给 {} 人。"),
            Self::SentAsOne(_) => ("{} lines were sent as one reply.", "{} 行已作为一条答复发出。"),
            Self::Shortened(_) => ("… {} more characters are left out (send standard output to a file to keep all)", "……略去其余 {} 个字符（把标准输出写入文件可保留全部）"),
            Self::NotShown(_) => ("({} lines were not shown: the screen could not keep up)", "（屏幕来不及显示，略去 {} 行）"),
            Self::MoreNotices(_) => ("(more notices of clients that connected or left: {}; /clients lists who is connected)", "（另有 {} 条客户端接入或离开的通知；/clients 列出在线的人）"),
            Self::Stopping => ("Stopping. Ctrl-C stops at once.", "正在停止。按 Ctrl-C 立即停止。"),
            Self::Undelivered => ("does not read: the message was not sent", "没有在接收，这条消息没有发出"),
            Self::Unreadable => ("A key was no UTF-8 text, and is left out with what was typed right behind it.", "有按键不是 UTF-8 文本，已略去，紧随其后的输入也一并略去。"),
            Self::InputEnded => ("Nobody is left to answer: the input has ended. The server goes on.", "输入已结束，没有人答复了；服务继续运行。"),
            Self::Connected(_) => ("Connected to {}. quit, Ctrl-D or Ctrl-C leaves.", "已连上 {}。输入 quit，或按 Ctrl-D、Ctrl-C 离开。"),
            Self::Sending(_) => ("Each line goes to {} as a datagram. quit, Ctrl-D or Ctrl-C leaves.", "每行作为一个数据报发往 {}。输入 quit，或按 Ctrl-D、Ctrl-C 离开。"),
            Self::ServerHungUp => ("The server sends no more: disconnected.", "对方不再发送，已断开连接。"),
            Self::ServerFinished => ("The server sends no more. Lines are still sent; quit, Ctrl-D or Ctrl-C leaves.", "对方不再发送。输入的内容仍会发出；输入 quit，或按 Ctrl-D、Ctrl-C 离开。"),
            Self::YouHungUp => ("Disconnected.", "已断开。"),
            Self::NoAnswer(..) => ("no answer to datagram {}: {}", "第 {} 个数据报没有收到回复：{}"),
            Self::NoAnswerWithin(..) => ("no answer to datagram {}: none came within {}", "第 {} 个数据报没有收到回复：{} 内没有收到"),
            Self::DatagramRefused(_) => ("no answer to datagram {}: refused: no program listens on that port, or a firewall rejects it", "第 {} 个数据报没有收到回复：被拒绝，该端口没有程序监听，或被防火墙拒绝"),
            Self::DatagramTooLong(..) => ("datagram {} was not sent: it has {} bytes, and a datagram at most {}; send shorter lines", "第 {} 个数据报没有发出：它有 {} 字节，而数据报最多 {} 字节；请发送较短的行"),
            Self::NotAnswered(..) => ("{} of {} datagrams got no answer", "有 {} 个数据报没有收到回复（共 {} 个）"),
            Self::Refused(_) => ("cannot connect to {}: refused: no program listens on that port, or a firewall rejects it", "无法连接 {}：被拒绝，该端口没有程序监听，或被防火墙拒绝"),
            Self::Unreachable(_) => ("cannot connect to {}: unreachable: no route to that address, or a router rejects it", "无法连接 {}：不可达，没有通往该地址的路由，或被路由器拒绝"),
            Self::NotFromHere(..) => ("cannot connect to {}: {}; is the source an address of this machine?", "无法连接 {}：{}；源地址是本机的吗？"),
            Self::NotConnected(..) => ("cannot connect to {}: {}", "无法连接 {}：{}"),
            Self::ConnectTimeout(..) => ("cannot connect to {}: no answer within {}", "无法连接 {}：{} 内没有应答"),
            Self::Reset => ("the server reset the connection", "对方重置了连接"),
            Self::Lost(_) => ("the connection was lost: {}", "连接中断：{}"),
            Self::NotTaken(_) => ("not everything was sent: {} bytes were left when the connection ended", "没有全部发出：连接结束时还剩 {} 字节"),
            Self::InputFailed(_) => ("cannot read what is to be sent: {}", "无法读取要发送的内容：{}"),
            Self::OutputFailed(_) => ("cannot write what came: {}", "无法写出收到的内容：{}"),
            Self::NotSendable(..) => ("cannot send to {}: {}", "无法发送到 {}：{}"),
            Self::NoAddress(_) => ("no address is known for '{}'; check the name, or give a numeric address", "找不到“{}”的地址：请检查主机名，或直接使用 IP 地址"),
            Self::CannotRun(_) => ("cannot run: {}", "无法运行：{}"),
            Self::LineTooLong => ("a line is longer than 64 KiB", "有一行超过 64 KiB"),
            Self::LineNotText => ("a line is not UTF-8 text", "有一行不是 UTF-8 文本"),
            Self::NotAllShown(_) => ("not everything was written to the output: {}", "输出没有全部写出：{}"),
            Self::EditorLimit(_) => (
                "No room for more clients: at most {} are served here.\n\
                 The line editor waits for keys with select(2), which takes no descriptor above\n\
                 1023. To serve more clients, redirect standard input (< /dev/null).",
                "客户端已满：这里最多服务 {} 个。\n\
                 行编辑器用 select(2) 等待按键，而它不能处理大于 1023 的描述符。\n\
                 要服务更多客户端，请重定向标准输入（< /dev/null）。",
            ),
            Self::FileLimit(_) => (
                "No room for more clients: at most {} are served here, which is what the limit of\n\
                 open files allows (ulimit -Hn). To serve more clients, raise it.",
                "客户端已满：受打开文件数的上限（ulimit -Hn）所限，这里最多服务 {} 个。\n\
                 要服务更多客户端，请提高这个上限。",
            ),
        }
    }
}

const HELP_ENGLISH: &str = "\
TEXT         answers the message that the prompt names
quit         disconnects its sender
/skip        leaves it unanswered; an empty line does nothing
/to N TEXT   sends TEXT to client N, in answer to its oldest message if there is one
/all TEXT    sends TEXT to every client
/hangup N    disconnects client N
/clients     lists who is connected
/help        lists this
//TEXT       answers with /TEXT";

const HELP_CHINESE: &str = "\
TEXT         答复提示符所指的消息
quit         断开这条消息的发送者
/skip        不答复这条消息；空行不起作用
/to N TEXT   把 TEXT 发给 N 号；若它有待答的消息，就算答复了其中最早的一条
/all TEXT    把 TEXT 发给所有人
/hangup N    断开 N 号
/clients     列出在线的人
/help        显示本说明
//TEXT       答复 /TEXT";

/// A phrase in a language, to be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a>(Language, Phrase<'a>);

impl<'a> Spoken<'a> {
    pub(super) const fn new(language: Language, phrase: Phrase<'a>) -> Self {
        Self(language, phrase)
    }
}

impl Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(language, phrase) = self;
        let (english, chinese) = phrase.templates();
        let template = match language {
            Language::English => english,
            Language::Chinese => chinese,
        };
        match phrase {
            Phrase::Arrived(address)
            | Phrase::Connected(address)
            | Phrase::Sending(address)
            | Phrase::Refused(address)
            | Phrase::Unreachable(address) => fill(f, template, &[address]),
            Phrase::Left(CloseReason::Failed(kind)) => {
                fill(f, template, &[&language.reason_of_kind(*kind)])
            }
            Phrase::NoSuchClient(number)
            | Phrase::NotShown(number)
            | Phrase::MoreNotices(number)
            | Phrase::DatagramRefused(number) => fill(f, template, &[number]),
            Phrase::NoSuchCommand(text) | Phrase::Usage(text) => fill(f, template, &[text]),
            Phrase::Client(address, unanswered) => fill(f, template, &[address, unanswered]),
            Phrase::MoreClients(count)
            | Phrase::NotTaken(count)
            | Phrase::EditorLimit(count)
            | Phrase::FileLimit(count)
            | Phrase::Reminder(count)
            | Phrase::Shortened(count)
            | Phrase::SentAsOne(count)
            | Phrase::SentToAll(count) => fill(f, template, &[count]),
            Phrase::NoAnswer(number, why) => fill(f, template, &[number, why]),
            Phrase::DatagramTooLong(number, size, limit) => {
                fill(f, template, &[number, size, limit])
            }
            Phrase::NotAnswered(lost, sent) => fill(f, template, &[lost, sent]),
            Phrase::NoAnswerWithin(number, time) => {
                fill(f, template, &[number, &format_args!("{time:?}")])
            }
            Phrase::ConnectTimeout(address, time) => {
                fill(f, template, &[address, &format_args!("{time:?}")])
            }
            Phrase::NotFromHere(address, why)
            | Phrase::NotConnected(address, why)
            | Phrase::NotSendable(address, why) => fill(f, template, &[address, why]),
            Phrase::CannotRun(why)
            | Phrase::InputFailed(why)
            | Phrase::Lost(why)
            | Phrase::NoAddress(why)
            | Phrase::NotAllShown(why)
            | Phrase::OutputFailed(why) => fill(f, template, &[why]),
            _ => f.write_str(template),
        }
    }
}

/// Puts each of `values` where the next braces are. Values that there are no braces for are left out.
fn fill(f: &mut fmt::Formatter<'_>, template: &str, values: &[&dyn Display]) -> fmt::Result {
    let mut values = values.iter();
    let mut pieces = template.split("{}");
    f.write_str(pieces.next().unwrap_or_default())?;
    for piece in pieces {
        if let Some(value) = values.next() {
            value.fmt(f)?;
        }
        f.write_str(piece)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
