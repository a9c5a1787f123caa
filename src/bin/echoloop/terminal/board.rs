//! What is to be shown, and whom the prompt names: what a [`Screen`](super::Screen) decides, without a
//! terminal.

use echoloop::service::Question;

/// What the prompt is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prompt<Q = Question> {
    /// The message that a line would answer.
    pub(crate) question: Option<Q>,
    /// The highest number that a client has, for the width of the next prompt.
    pub(crate) last_number: u64,
}

/// Text that is to appear above a prompt, and what the prompt names.
///
/// # What a line answers
///
/// Whoever types sees the prompt before the key that enters the line, so a line answers what the prompt
/// named before that key. And while something is typed, the prompt goes on naming whom it is for: an answer
/// begun for one client does not become another's because the first has left.
#[derive(Debug)]
pub(super) struct Board<Q = Question> {
    pending: String,
    prompt: Prompt<Q>,
    named: Option<Q>,
    typing: bool,
    entering: bool,
}

impl<Q> Default for Prompt<Q> {
    fn default() -> Self {
        Self {
            question: None,
            last_number: 0,
        }
    }
}

impl<Q> Default for Board<Q> {
    fn default() -> Self {
        Self {
            pending: String::new(),
            prompt: Prompt::default(),
            named: None,
            typing: false,
            entering: false,
        }
    }
}

impl<Q: Copy> Board<Q> {
    /// A new prompt is about to be drawn. With `begun` it goes on with the line that was typed at the one before,
    /// which is for whoever it was for.
    pub(super) fn begin(&mut self, begun: bool) {
        if !begun {
            self.named = None;
        }
        (self.typing, self.entering) = (begun, false);
    }

    /// What the prompt is to say, as soon as it may.
    pub(super) fn set_prompt(&mut self, prompt: Prompt<Q>) {
        self.prompt = prompt;
    }

    pub(super) const fn prompt(&self) -> Prompt<Q> {
        self.prompt
    }

    /// `text` is to appear above the prompt.
    pub(super) fn post(&mut self, text: &str) {
        self.pending.push_str(text);
    }

    /// So much has been typed; with `entering`, by the key that enters it.
    pub(super) const fn type_line(&mut self, line: &str, entering: bool) {
        (self.typing, self.entering) = (!line.is_empty(), entering);
    }

    /// The prompt is drawn, with room for numbers that `fits`. Returns what it names.
    pub(super) fn draw(&mut self, fits: impl FnOnce(Q) -> bool) -> Option<Q> {
        let begun = self.typing && self.named.is_some();
        if !begun && !self.entering {
            self.named = self.prompt.question.filter(|&question| fits(question));
        }
        self.named
    }

    /// What the prompt names.
    pub(super) const fn named(&self) -> Option<Q> {
        self.named
    }

    /// What is to appear and has not yet. The caller shows it.
    pub(super) fn take_pending(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board on which the prompt is up and names client `number`.
    fn naming(number: u64) -> Board<u64> {
        let mut board = Board::default();
        board.begin(false);
        wants(&mut board, Some(number));
        assert_eq!(board.draw(|_| true), Some(number));
        board
    }

    fn wants(board: &mut Board<u64>, question: Option<u64>) {
        board.set_prompt(Prompt {
            question,
            last_number: 9,
        });
    }

    #[test]
    fn a_prompt_at_rest_names_whoever_is_next() {
        let mut board = naming(1);
        wants(&mut board, Some(2));
        assert_eq!(board.named(), Some(1), "nothing has been drawn yet");
        assert_eq!(board.draw(|_| true), Some(2));
        wants(&mut board, None);
        assert_eq!(board.draw(|_| true), None);
    }

    #[test]
    fn an_answer_begun_for_one_is_not_anothers() {
        let mut board = naming(1);
        board.type_line("secr", false);
        wants(&mut board, Some(2));
        assert_eq!(board.draw(|_| true), Some(1));
        board.type_line("secret", true);
        assert_eq!(board.draw(|_| true), Some(1));
        assert_eq!(board.named(), Some(1));
        board.begin(false);
        assert_eq!(board.draw(|_| true), Some(2));
    }

    /// The editor gives up on a line when a key is no text, and begins anew with what there was of it.
    #[test]
    fn an_answer_that_is_taken_up_again_is_for_whom_it_was_begun() {
        let mut board = naming(1);
        board.type_line("secr", false);
        wants(&mut board, Some(2));
        board.begin(true);
        assert_eq!(board.draw(|_| true), Some(1));
        board.type_line("", false);
        assert_eq!(board.draw(|_| true), Some(2));
    }

    #[test]
    fn a_line_wiped_out_is_begun_for_nobody() {
        let mut board = naming(1);
        board.type_line("secret", false);
        wants(&mut board, Some(2));
        board.type_line("", false);
        assert_eq!(board.draw(|_| true), Some(2));
    }

    /// After a search, the editor draws the prompt once more with the key that enters the line.
    #[test]
    fn the_key_that_enters_a_line_does_not_change_whom_it_is_for() {
        let mut board = naming(1);
        wants(&mut board, Some(2));
        board.type_line("", true);
        assert_eq!(board.draw(|_| true), Some(1));
    }

    #[test]
    fn what_is_typed_for_nobody_is_for_whoever_comes_to_be_named() {
        let mut board = Board::default();
        board.begin(false);
        assert_eq!(board.draw(|_| true), None);
        board.type_line("hello", false);
        wants(&mut board, Some(1));
        assert_eq!(board.draw(|_| true), Some(1));
    }

    #[test]
    fn who_does_not_fit_is_not_named() {
        let mut board = naming(1);
        wants(&mut board, Some(1_000));
        assert_eq!(board.draw(|number| number < 1_000), None);
    }

    #[test]
    fn text_is_taken_once() {
        let mut board = naming(1);
        board.post("one\n");
        board.post("two\n");
        assert_eq!(board.take_pending(), "one\ntwo\n");
        assert_eq!(board.take_pending(), "");
    }
}
