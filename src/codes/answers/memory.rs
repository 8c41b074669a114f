//! Kept answers in memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{AnswerStore, Begun, KEPT, KeyedRequest, RUNNING};
use crate::domain::{Timestamp, Unavailable};

/// The answers of a single node. At the bound the ones that end first go: whoever asks again then asks anew.
pub struct MemoryAnswers {
    answers: Mutex<Answers>,
    bound: usize,
}

#[derive(Default)]
struct Answers {
    by_name: HashMap<String, Answer>,
    by_end: BTreeSet<(Timestamp, String)>,
}

struct Answer {
    fingerprint: String,
    id: String,
    until: Timestamp,
    /// `None` while the request runs.
    body: Option<Vec<u8>>,
}

impl MemoryAnswers {
    /// At most `bound` answers.
    pub fn new(bound: usize) -> Self {
        Self { answers: Mutex::default(), bound }
    }
}

#[async_trait]
impl AnswerStore for MemoryAnswers {
    async fn begin(&self, request: &KeyedRequest, now: Timestamp) -> Result<Begun, Unavailable> {
        let now = Timestamp::from_millis(now.millis());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.by_name.get(&request.name).filter(|answer| answer.until > now) {
            return Ok(match &answer.body {
                _ if answer.fingerprint != request.fingerprint => Begun::AnotherBody,
                None => Begun::Running,
                Some(body) => Begun::Answered(body.clone()),
            });
        }
        answers.put(request, None, now.plus(RUNNING));
        while answers.by_name.len() > self.bound || answers.by_end.first().is_some_and(|(until, _)| *until <= now) {
            answers.drop_first();
        }
        Ok(Begun::New)
    }

    async fn end(&self, request: &KeyedRequest, answer: Option<&[u8]>, now: Timestamp) -> Result<(), Unavailable> {
        let now = Timestamp::from_millis(now.millis());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.by_name.get(&request.name).is_some_and(|stored| stored.id == request.id) {
            match answer {
                Some(answer) => answers.put(request, Some(answer.to_vec()), now.plus(KEPT)),
                None => answers.remove(&request.name),
            }
        }
        Ok(())
    }
}

impl Answers {
    fn put(&mut self, request: &KeyedRequest, body: Option<Vec<u8>>, until: Timestamp) {
        self.remove(&request.name);
        let KeyedRequest { name, fingerprint, id } = request.clone();
        self.by_end.insert((until, name.clone()));
        self.by_name.insert(name, Answer { fingerprint, id, until, body });
    }

    fn remove(&mut self, name: &str) {
        if let Some(answer) = self.by_name.remove(name) {
            self.by_end.remove(&(answer.until, name.to_owned()));
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, name)) = self.by_end.pop_first() {
            self.by_name.remove(&name);
        }
    }
}
