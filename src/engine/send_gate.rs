//! The gate before every code that is sent: the client's limits, the guard, and the puzzle that opens both.

use std::{sync::Arc, time::Duration};

use super::{
    Core, PumpingGuard, RateLimits,
    pumping_guard::Word,
    rate_limits::{Reservation, SendCount},
};
use crate::{
    codes::{CodeStore, Room},
    domain::{Address, Client, Quota, Reach},
    error::{Error, ExceededLimit},
    metrics,
    puzzles::{Binding, ProofOfWork, Puzzle, SiteVerify, Solved},
};

/// When puzzles are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PuzzleMode {
    /// Beyond a client's longer limits, for held prefixes and above the ceilings.
    Held,
    /// At every call that sends a code.
    Always,
    /// Never: the client's longer limits refuse.
    Off,
}

/// Judges puzzles.
#[derive(Clone)]
pub enum PuzzleMaster {
    /// By proof of work.
    ProofOfWork(ProofOfWork),
    /// By a provider.
    SiteVerify(SiteVerify),
}

/// Lets requests for codes through; cheap to clone.
#[derive(Clone)]
pub struct SendGate {
    pub(crate) core: Core,
    pub(crate) rate_limits: RateLimits,
    pub(crate) guard: PumpingGuard,
    pub(crate) codes: Arc<dyn CodeStore>,
    pub(crate) mode: PuzzleMode,
    pub(crate) puzzles: PuzzleMaster,
    /// On a laptop's embedded default nobody but the client's minute is in the way.
    pub(crate) trusts_loopback: bool,
}

/// A request on its way through the gate; to be settled by its outcome.
#[must_use]
pub(crate) struct Pass<'a> {
    gate: &'a SendGate,
    client: &'a Client,
    solution: Option<&'a str>,
    use_of_client: Reservation,
    /// One of the client's longer limits is spent.
    is_beyond: bool,
    /// Where there is no such account or registration, a code of nobody is written.
    may_be_phantom: bool,
    /// The address that the request names, which its puzzle is bound to.
    named: Option<Address>,
    /// Whether its puzzle is solved, once somebody asked.
    is_solved: Option<bool>,
    use_of_solution: Option<Reservation>,
}

impl SendGate {
    /// Counts the client's request, before anything else about it is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyRequests`] by the client's shortest limit, or by any where no puzzle opens them.
    pub(crate) async fn enter<'a>(&'a self, client: &'a Client, solution: Option<&'a str>) -> Result<Pass<'a>, Error> {
        let counted = if self.is_trusted(client) {
            SendCount::Within(self.rate_limits.count_send_within_shortest(client).await?)
        } else {
            self.rate_limits.count_send(client).await?
        };
        let (use_of_client, is_beyond) = match counted {
            SendCount::Within(reservation) => (reservation, false),
            SendCount::BeyondLonger(reservation, _) if self.mode != PuzzleMode::Off => (reservation, true),
            SendCount::BeyondLonger(reservation, exceeded) => {
                reservation.cancel().await;
                return Err(Error::TooManyRequests(exceeded));
            }
        };
        Ok(Pass {
            gate: self,
            client,
            solution,
            use_of_client,
            is_beyond,
            may_be_phantom: false,
            named: None,
            is_solved: None,
            use_of_solution: None,
        })
    }

    /// A puzzle for who cannot read it in a refusal, at the price that the address has.
    pub fn puzzle(&self, address: &Address, client: &Client) -> Puzzle {
        let factor = match self.guard.word(Reach::AnyAddress, address, self.core.now()) {
            Word::NeedsPuzzle(factor) => factor,
            Word::Passes | Word::Refused(_) => 1,
        };
        self.puzzle_at(address, client, factor)
    }

    fn puzzle_at(&self, address: &Address, client: &Client, factor: u32) -> Puzzle {
        match &self.puzzles {
            PuzzleMaster::ProofOfWork(work) => work.puzzle(&binding(address, client), factor, self.core.now()),
            PuzzleMaster::SiteVerify(provider) => provider.puzzle(),
        }
    }

    fn is_trusted(&self, client: &Client) -> bool {
        self.trusts_loopback && client.ip.is_loopback()
    }

    /// The use of the solution, if it is right and was not used.
    async fn solve(&self, solution: &str, address: &Address, client: &Client) -> Result<Option<Reservation>, Error> {
        let now = self.core.now();
        let solved = match &self.puzzles {
            PuzzleMaster::ProofOfWork(work) => work.solved(solution, &binding(address, client), now),
            PuzzleMaster::SiteVerify(provider) => {
                let is_right = provider.is_right(solution, client.ip).await.map_err(|down| {
                    tracing::warn!(error = format!("{:#}", down.0), "{down}");
                    Error::Overloaded
                })?;
                is_right.then(|| Solved { name: solution.to_owned(), expires_at: now.plus(Duration::from_mins(5)) })
            }
        };
        match solved {
            Some(solved) => self.rate_limits.use_once("puzzle", &solved.name, solved.expires_at.after(now)).await,
            None => Ok(None),
        }
    }
}

/// For a minute: as long as most codes live.
fn crowded_out(most: u32) -> ExceededLimit {
    let retry_after = Duration::from_mins(1);
    ExceededLimit { policy: "codes-in-memory", quota: Quota::new(most, retry_after), retry_after }
}

fn binding(address: &Address, client: &Client) -> Binding {
    Binding { destination: address.hash(), network: client.network() }
}

impl Pass<'_> {
    /// For a call that writes a code of nobody where there is no such account or registration.
    pub(crate) fn or_phantom(self) -> Self {
        Self { may_be_phantom: true, ..self }
    }

    /// Judges a code of this reach to the address; of a request that names one address and sends to another, first
    /// the one and then the other, and a puzzle is bound to the first.
    ///
    /// # Errors
    ///
    /// [`Error::ChallengeRequired`] until its puzzle is solved, [`Error::TooManyRequests`] above the ceilings, and for a
    /// crowd that has filled the code store.
    pub(crate) async fn check(&mut self, reach: Reach, address: &Address) -> Result<(), Error> {
        let gate = self.gate;
        if gate.is_trusted(self.client) {
            return Ok(());
        }
        let word = gate.guard.word(reach, address, gate.core.now());
        if let Word::Refused(exceeded) = word {
            return Err(Error::TooManyRequests(exceeded));
        }
        let room = gate.codes.room(self.client.ip, self.may_be_phantom, gate.core.now());
        if let Room::Spent(most) = room {
            return Err(Error::TooManyRequests(crowded_out(most)));
        }
        if gate.mode == PuzzleMode::Off {
            return Ok(());
        }
        let named = self.named.get_or_insert_with(|| address.clone()).clone();
        let factor = match word {
            Word::NeedsPuzzle(factor) => factor,
            _ if gate.mode == PuzzleMode::Always || self.is_beyond || room == Room::Scarce => 1,
            _ => return Ok(()),
        };
        if self.is_solved(&named).await? {
            return Ok(());
        }
        metrics::challenge("asked");
        Err(Error::ChallengeRequired(Box::new(gate.puzzle_at(&named, self.client, factor))))
    }

    /// Looks at the solution once, and only where a puzzle stands: a provider that judges it is far away.
    async fn is_solved(&mut self, named: &Address) -> Result<bool, Error> {
        if let Some(is_solved) = self.is_solved {
            return Ok(is_solved);
        }
        let Some(solution) = self.solution else { return Ok(false) };
        self.use_of_solution = self.gate.solve(solution, named, self.client).await?;
        let is_solved = self.use_of_solution.is_some();
        self.is_solved = Some(is_solved);
        metrics::challenge(if is_solved { "solved" } else { "wrong" });
        Ok(is_solved)
    }

    /// Keeps what was counted if a code was sent; the client's use also for [`Error::AccountExists`]: the answer tells
    /// who is registered.
    pub(crate) async fn settle<T>(self, outcome: &Result<T, Error>) {
        if !matches!(outcome, Ok(_) | Err(Error::AccountExists(_))) {
            self.use_of_client.cancel().await;
        }
        if outcome.is_err()
            && let Some(reservation) = self.use_of_solution
        {
            reservation.cancel().await;
        }
    }
}
