//! The contract of the store over both databases, concurrency included.

use std::time::Duration;

use enroll::{
    domain::{
        Address, AuditKind, AuditLine, Channel, CodeHistory, DeliveryState, Email, EventSink, FailedAttempt, Holder, Identifiers, JsonObject, Mobile, Origin, OsRandom, Purpose,
        Random, RefreshToken, Registration, Session, TakenIdentifier, Timestamp, User, Verification, Way,
    },
    store::{DeliveredBy, QueuedMessage, SealedEvent, Store, StoreError, StoreSettings, Tried},
};
use uuid::Uuid;

use crate::support::{
    Backend,
    backend::{Database, RawConnection},
};

stories!(
    a_dropped_transaction_changes_nothing,
    registrations_are_deleted_once,
    accounts_collide_by_what_they_have_proven,
    a_suspended_address_is_kept_and_then_proven_once,
    a_write_that_misses_its_row_undoes_the_others,
    one_of_many_activates,
    a_verification_is_used_once_and_counts_its_generations,
    a_history_is_replaced_as_it_was_read,
    a_destinations_row_orders_its_codes,
    a_message_is_leased_by_one_worker_at_a_time,
    refusals_of_two_nodes_add_up,
    a_session_is_valid_while_everything_holds,
    the_sixteen_networks_seen_last_are_kept,
    an_event_goes_once_every_sink_has_it,
    pruning_deletes_what_has_ended,
    migrating_twice_at_once_migrates_once,
    a_node_starts_on_the_schema_of_the_next_release,
);

const DAY: Duration = Duration::from_hours(24);

struct Fixture {
    store: Store,
    settings: StoreSettings,
    _database: Option<Database>,
    _dir: tempfile::TempDir,
}

async fn fixture(backend: Backend) -> Fixture {
    let fixture = fixture_without_schema(backend).await;
    fixture.store.migrate().await.unwrap();
    fixture
}

async fn fixture_without_schema(backend: Backend) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create_for(backend).await;
    let embedded = format!("sqlite://{}", dir.path().join("enroll.db").display());
    let url = database.as_ref().map_or(embedded, Database::pooled_url);
    let pooled = backend == Backend::Pooled;
    let settings = StoreSettings { timeout: Duration::from_secs(10), pooled, ..StoreSettings::at(url) };
    let store = Store::open(&settings, true).unwrap();
    Fixture { store, settings, _database: database, _dir: dir }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn registration(email: &str, password: &str) -> Registration {
    let email = Some(Email::parse(email).unwrap());
    let random = &OsRandom as &dyn Random;
    Registration {
        id: random.secret_id(),
        verification_id: random.secret_id(),
        identifiers: Identifiers { email, ..Identifiers::default() },
        name: Some("Ann".into()),
        locale: None,
        data: JsonObject::default(),
        password_hash: Some(password.into()),
        client_hash: vec![1, 2],
        last_code_at: now(),
        expires_at: now().plus(Duration::from_hours(1)),
        created_at: now(),
    }
}

fn verification(id: Uuid) -> Verification {
    Verification {
        id,
        generation: 1,
        purpose: Purpose::Registration,
        destination: Address::Mobile(Mobile::from_stored("+919876543210".into())),
        digits: 6,
        tries: 5,
        state: DeliveryState::Queued,
        changed_at: now(),
        expires_at: now().plus(Duration::from_mins(5)),
        issued_at: now(),
        holder: Holder::Registration,
        login_id_hash: None,
        sign_up: None,
    }
}

async fn insert(store: &Store, registration: &Registration) {
    let mut tx = store.begin().await.unwrap();
    tx.insert_registration(registration).unwrap();
    tx.commit().await.unwrap();
}

async fn a_dropped_transaction_changes_nothing(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let ann = registration("ann@example.com", "hash");
    let mut tx = store.begin().await.unwrap();
    tx.insert_registration(&ann).unwrap();
    assert_eq!(tx.registration(ann.verification_id, now()).await.unwrap(), Some(ann.clone()));
    drop(tx);
    let found = store.read().await.unwrap().registration(ann.verification_id, now()).await.unwrap();
    assert_eq!(found, None);
    insert(store, &ann).await;
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.registration(ann.verification_id, now()).await.unwrap(), Some(ann.clone()));
    assert_eq!(reader.pending_registrations(&ann.destination(), now()).await.unwrap(), vec![ann.clone()]);
    assert_eq!(reader.pending_registrations(&ann.destination(), ann.expires_at).await.unwrap(), []);
}

async fn registrations_are_deleted_once(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let ann = registration("ann@example.com", "hash");
    insert(store, &ann).await;
    let race = futures_util::future::join_all((0..20).map(|_| async {
        let mut tx = store.begin().await.unwrap();
        let ended = tx.delete_registrations(&ann.destination()).await.unwrap();
        tx.commit().await.unwrap();
        ended
    }));
    let ended: Vec<Uuid> = race.await.into_iter().flatten().collect();
    assert_eq!(ended, [ann.id]);
}

async fn accounts_collide_by_what_they_have_proven(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let user = |name: &str| User::from_registration(registration(name, "hash"), now());
    let add = async |user: User| {
        let mut tx = store.begin().await?;
        tx.insert_user(&user).await?;
        tx.commit().await
    };
    // Twenty at once prove one address: one has it.
    let race = futures_util::future::join_all((0..20).map(|_| add(user("Ann@example.com")))).await;
    assert_eq!(race.iter().filter(|added| added.is_ok()).count(), 1);
    assert!(
        race.iter().all(|added| matches!(added, Ok(()) | Err(StoreError::Taken(TakenIdentifier::Email)))),
        "{race:?}"
    );
    // RawConnection unproven, the address collides with nobody.
    add(User { email_verified: false, ..user("ann@example.com") }).await.unwrap();

    let mobile = Mobile::from_stored("+919876543210".into());
    let with_mobile = |email: &str| {
        let mut user = user(email);
        user.identifiers.mobile = Some(mobile.clone());
        User { mobile_verified: true, ..user }
    };
    add(with_mobile("bob@example.com")).await.unwrap();
    let second = with_mobile("eve@example.com");
    assert!(matches!(add(second).await, Err(StoreError::Taken(TakenIdentifier::Mobile))));

    let mut reader = store.read().await.unwrap();
    let email = Address::Email(Email::parse("ANN@example.com").unwrap());
    let mut taken = async |address: Address| reader.taken_identifier(&address.into(), None, now()).await.unwrap();
    assert_eq!(taken(email.clone()).await, Some(TakenIdentifier::Email));
    assert_eq!(taken(Address::Mobile(mobile)).await, Some(TakenIdentifier::Mobile));
    assert_eq!(taken(Address::Email(Email::parse("eve@example.com").unwrap())).await, None);
    assert!(reader.user_by_address(&email).await.unwrap().unwrap().email_verified);
}

async fn a_suspended_address_is_kept_and_then_proven_once(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let end = now().plus(DAY);
    let user = |at| User::from_registration(registration("ann@example.com", "hash"), at);
    let first = user(now());
    let mut tx = store.begin().await.unwrap();
    tx.insert_user(&first).await.unwrap();
    tx.suspend_contact(first.id, Channel::Email, end).await.unwrap();
    tx.commit().await.unwrap();

    let email = Address::Email(Email::parse("Ann@example.com").unwrap());
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.user_by_address(&email).await.unwrap(), None, "it opens nothing");
    let mut taken = async |but, at| reader.taken_identifier(&email.clone().into(), but, at).await.unwrap();
    assert_eq!(taken(None, now()).await, Some(TakenIdentifier::Email));
    assert_eq!(taken(Some(first.id), now()).await, None, "from its own account");
    assert_eq!(taken(None, end).await, None);
    drop(reader);

    let add = async |at| {
        let mut tx = store.begin().await?;
        tx.insert_user(&user(at)).await?;
        tx.commit().await
    };
    assert!(matches!(add(now()).await, Err(StoreError::Taken(TakenIdentifier::Email))));
    // Twenty at once prove it at its end: one has it.
    let race = futures_util::future::join_all((0..20).map(|_| add(end))).await;
    assert_eq!(race.iter().filter(|added| added.is_ok()).count(), 1);
    let kept = store.read().await.unwrap().user(first.id).await.unwrap().unwrap();
    assert!(!kept.email_verified && kept.email_suspended_until.is_none() && kept.proven_addresses().is_empty());
}

async fn a_write_that_misses_its_row_undoes_the_others(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let (ann, bob) = (registration("ann@example.com", "hash"), registration("bob@example.com", "hash"));
    let refused = async {
        let mut tx = store.begin().await?;
        tx.insert_registration(&ann)?;
        tx.end_registrations(bob.id, &bob.destination())?; // there is none
        tx.append_events(&[SealedEvent { order_key: ann.id, body: vec![1], has_user: false }], now())?;
        tx.commit().await
    };
    assert!(matches!(refused.await, Err(StoreError::Stale)));
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.registration(ann.verification_id, now()).await.unwrap(), None);
    assert!(reader.stored_events(10).await.unwrap().is_empty());
    // What is read in between sees what was written before it, and a late miss undoes that too.
    let mut tx = store.begin().await.unwrap();
    tx.insert_registration(&ann).unwrap();
    assert_eq!(tx.registration(ann.verification_id, now()).await.unwrap(), Some(ann.clone()));
    let late = async {
        tx.use_verification(ann.verification_id, None, now())?;
        tx.commit().await
    };
    assert!(matches!(late.await, Err(StoreError::Stale)));
    assert_eq!(reader.registration(ann.verification_id, now()).await.unwrap(), None);
}

/// Twenty activations of one registration at once, and of twenty registrations of one address.
async fn one_of_many_activates(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let same = registration("ann@example.com", "hash");
    let others: Vec<_> = (0..20).map(|n| registration("bob@example.com", &format!("hash {n}"))).collect();
    for pending in std::iter::once(&same).chain(&others) {
        insert(store, pending).await;
        let mut tx = store.begin().await.unwrap();
        tx.insert_verification(&verification(pending.verification_id)).unwrap();
        tx.commit().await.unwrap();
    }
    let activate = async |pending: &Registration| {
        let user = User::from_registration(pending.clone(), now());
        let mut tx = store.begin().await?;
        tx.insert_user(&user).await?;
        tx.end_registrations(user.id, &pending.destination())?;
        tx.use_verification(pending.verification_id, Some(user.id), now())?;
        tx.commit().await
    };
    for race in [vec![&same; 20], others.iter().collect()] {
        let outcomes = futures_util::future::join_all(race.into_iter().map(|pending| Box::pin(activate(pending)))).await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{lost:?}");
        let is_known = |lost: &Result<(), StoreError>| {
            matches!(lost, Err(StoreError::Taken(TakenIdentifier::Email) | StoreError::Stale))
        };
        assert!(lost.iter().all(is_known), "{lost:?}");
    }
    for pending in others {
        assert_eq!(store.read().await.unwrap().registration(pending.verification_id, now()).await.unwrap(), None);
    }
}

async fn a_verification_is_used_once_and_counts_its_generations(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let id = Uuid::from_u128(7);
    let mut tx = store.begin().await.unwrap();
    tx.insert_verification(&verification(id)).unwrap();
    tx.commit().await.unwrap();
    let code = |generation| Verification { generation, ..verification(id) };
    let renew = async |generation| {
        let mut tx = store.begin().await?;
        tx.renew_verification(&code(generation))?;
        tx.commit().await
    };
    assert!(matches!(renew(3).await, Err(StoreError::Stale)), "the next code is the second");
    let race = futures_util::future::join_all((0..10).map(|_| renew(2))).await;
    assert_eq!(race.iter().filter(|renewed| renewed.is_ok()).count(), 1, "{race:?}");
    let mut tx = store.begin().await.unwrap();
    // A message of the first generation changes nothing any more.
    tx.mark_delivery(id, 1, DeliveryState::Failed, None, now()).unwrap();
    tx.mark_delivery(id, 2, DeliveryState::Sent, Some(&DeliveredBy { provider: "console", segments: Some(1) }), now())
        .unwrap();
    tx.commit().await.unwrap();
    let challenge = store.read().await.unwrap().challenge(id, now()).await.unwrap().unwrap();
    assert_eq!((challenge.verification.generation, challenge.verification.state), (2, DeliveryState::Sent));
    assert_eq!(challenge.state(now()), DeliveryState::Expired, "its registration is gone");

    let race = futures_util::future::join_all((0..10).map(|_| async {
        let mut tx = store.begin().await.unwrap();
        let marked = tx.mark_verified(id, None, now()).await.unwrap();
        tx.commit().await.unwrap();
        marked
    }));
    assert_eq!(race.await.into_iter().filter(|marked| *marked).count(), 1);
    assert!(matches!(renew(3).await, Err(StoreError::Stale)), "no code follows one that was used");
}

/// Twenty who send codes to one destination without its lock: each that was written counted those before it.
async fn a_history_is_replaced_as_it_was_read(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let ann = &Address::Email(Email::parse("ann@example.com").unwrap());
    let way = Way::new(Purpose::Registration, ann);
    let sent_at = |n: i64| Timestamp::from_millis(now().millis() + n);
    let mut written = 0;
    for _ in 0..5 {
        let before = store.read().await.unwrap().destination(&ann.hash()).await.unwrap();
        let send = async |n| {
            let mut record = before.clone();
            record.history.record_send(Purpose::Registration, sent_at(n));
            let mut tx = store.begin().await?;
            tx.replace_history(way, &record, now())?;
            tx.append_events(&[SealedEvent { order_key: Uuid::nil(), body: vec![1], has_user: false }], now())?;
            tx.commit().await
        };
        let race = futures_util::future::join_all((0..20).map(send)).await;
        let (won, lost): (Vec<_>, Vec<_>) = race.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{lost:?}");
        assert!(lost.iter().all(|lost| matches!(lost, Err(StoreError::Stale))), "{lost:?}");
        written += 1;
    }
    let mut reader = store.read().await.unwrap();
    let json = serde_json::to_value(&reader.destination(&ann.hash()).await.unwrap().history).unwrap();
    assert_eq!(json["registration"]["sends"].as_array().unwrap().len(), written);
    assert_eq!(reader.stored_events(100).await.unwrap().len(), written, "who lost has written nothing");
    // Whoever holds the lock, or lifts the limits, makes it another version.
    let before = reader.destination(&ann.hash()).await.unwrap();
    drop(reader);
    store.write().await.unwrap().lift_limits(&ann.hash(), now()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let late = async {
        tx.replace_history(way, &before, now())?;
        tx.commit().await
    };
    assert!(matches!(late.await, Err(StoreError::Stale)));
}

async fn a_destinations_row_orders_its_codes(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let ann = &Address::Email(Email::parse("ann@example.com").unwrap());
    let (way, hash) = (Way::new(Purpose::Registration, ann), &ann.hash());
    let sent_at = |n: i64| Timestamp::from_millis(now().millis() + n);
    futures_util::future::join_all((0..20).map(|n| async move {
        let mut tx = store.begin().await.unwrap();
        let mut destination = tx.lock_destination(way, now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await; // what another would write over, without the lock
        destination.history.record_send(Purpose::Registration, sent_at(n));
        tx.update_history(hash, &destination.history).unwrap();
        tx.commit().await.unwrap();
    }))
    .await;
    let attempt = FailedAttempt::new(now().millis(), None);
    let line = AuditLine::new(AuditKind::WrongCode, "registration", Origin::default(), now());
    store.record_failed_attempt(way, attempt.clone(), &line).await.unwrap();
    assert_eq!(store.read().await.unwrap().newest_audit(Timestamp::default(), 10).await.unwrap(), std::slice::from_ref(&line));
    let destination = store.read().await.unwrap().destination(hash).await.unwrap();
    assert_eq!(destination.history.failed_attempts(Purpose::Registration), std::slice::from_ref(&attempt));
    assert_eq!(destination.history.last_send(Purpose::Registration), Some(sent_at(19)));
    let json = serde_json::to_value(&destination.history).unwrap();
    assert_eq!(json["registration"]["sends"].as_array().unwrap().len(), 20);

    let pair = Way { login_id_hash: Some(&[7; 32]), ..way };
    store.record_failed_attempt(pair, attempt.clone(), &line).await.unwrap();
    let of_pair = async || store.read().await.unwrap().destination(&pair.record_key()).await.unwrap();
    assert_eq!(of_pair().await.history.failed_attempts(Purpose::Registration), [attempt]);

    store.write().await.unwrap().lift_limits(hash, now()).await.unwrap();
    assert_eq!((of_pair().await.lifted_at, of_pair().await.history), (now(), CodeHistory::default()));
    let lifted = store.read().await.unwrap().destination(hash).await.unwrap();
    assert_eq!((lifted.lifted_at, lifted.history.last_send(Purpose::Registration)), (now(), None));
}

async fn a_message_is_leased_by_one_worker_at_a_time(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let message = QueuedMessage {
        verification: None,
        phantom: false,
        user: None,
        destination: "a***@example.com".to_owned(),
        body: vec![1, 2, 3],
        deadline: now().plus(DAY),
        traceparent: None,
    };
    let mut tx = store.begin().await.unwrap();
    for _ in 0..20 {
        tx.enqueue(&message, now()).unwrap();
    }
    tx.commit().await.unwrap();
    let lease_end = now().plus(Duration::from_secs(30));
    let workers =
        (0..8).map(|_| async { store.write().await.unwrap().lease_messages(now(), lease_end, 4).await.unwrap() });
    let batches = futures_util::future::join_all(workers).await;
    assert!(batches.iter().all(|batch| batch.len() <= 4), "LIMIT is exact");
    let mut ids: Vec<i64> = batches.iter().flatten().map(|leased| leased.id).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 20);
    ids.dedup();
    assert_eq!(ids.len(), 20, "no message was leased twice");

    assert!(store.write().await.unwrap().lease_messages(now(), lease_end, 100).await.unwrap().is_empty());
    let mut tx = store.begin().await.unwrap();
    tx.end_message(ids[0], DeliveryState::Sent, &Tried::default(), now()).unwrap();
    tx.commit().await.unwrap();
    let tried = Tried { provider: Some("webhook"), error: Some("no answer".to_owned()) };
    store.write().await.unwrap().postpone_message(ids[1], now(), &tried).await.unwrap();
    let again = store.write().await.unwrap().lease_messages(now(), lease_end, 100).await.unwrap();
    assert_eq!(again.iter().map(|leased| (leased.id, leased.attempts)).collect::<Vec<_>>(), [(ids[1], 2)]);
    assert_eq!(again[0].body, [1, 2, 3]);
    let last = (again[0].provider.as_deref(), again[0].last_error.as_deref());
    assert_eq!(last, (Some("webhook"), Some("no answer")));
    assert_eq!(
        store.write().await.unwrap().lease_messages(lease_end, lease_end.plus(DAY), 100).await.unwrap().len(),
        19
    );
    assert_eq!(store.read().await.unwrap().waiting_messages().await.unwrap().0, 19);
}

async fn refusals_of_two_nodes_add_up(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let addresses: Vec<Address> =
        (0..20).map(|n| Address::Email(Email::parse(&format!("a{n}@example.com")).unwrap())).collect();
    let line = |address| AuditLine::new(AuditKind::Refused, "resend", Origin::default().about(address), now());
    let forwards = || addresses.iter().map(line).collect::<Vec<_>>();
    let backwards = || addresses.iter().rev().map(line).collect::<Vec<_>>();
    let count = async |lines| store.count_refusals(lines).await.unwrap();
    for _ in 0..5 {
        tokio::join!(count(forwards()), count(backwards()), count(forwards()), count(backwards()));
    }
    let mut reader = store.read().await.unwrap();
    for address in &addresses {
        let lines = reader.audit_of_destination(&address.hash(), Timestamp::default(), 10).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.times).collect::<Vec<_>>(), [20]);
    }
}

async fn a_session_is_valid_while_everything_holds(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let user = User::from_registration(registration("ann@example.com", "hash"), now());
    let session = Session {
        id: Uuid::from_u128(3),
        user_id: user.id,
        counter: 0,
        used_counter: 0,
        salt: vec![7; 16],
        epoch: user.epoch,
        opened_by: None,
        user_agent: Some("curl".into()),
        ip: Some("192.0.2.1".into()),
        created_at: now(),
        ends_at: now().plus(DAY),
        expires_at: now().plus(DAY * 2),
    };
    let stale = Session { id: Uuid::from_u128(4), epoch: user.epoch - 1, ..session.clone() };
    let mut tx = store.begin().await.unwrap();
    tx.insert_user(&user).await.unwrap();
    tx.insert_session_of_locked(&session, 2).unwrap();
    tx.commit().await.unwrap();
    let add = async |session: &Session, most| {
        let mut tx = store.begin().await?;
        tx.insert_session(session, most)?;
        tx.commit().await
    };
    assert!(matches!(add(&stale, 2).await, Err(StoreError::Stale)), "opened under an epoch that is over");
    let second = Session { id: Uuid::from_u128(5), ..session.clone() };
    assert!(matches!(add(&second, 1).await, Err(StoreError::Stale)), "one more than there is room for");
    add(&second, 2).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.revoke_session(second.id, None, now()).await.unwrap(), Some(user.id));
    tx.commit().await.unwrap();
    let third = Session { id: Uuid::from_u128(6), ..session.clone() };
    assert!(matches!(add(&third, 2).await, Err(StoreError::Stale)), "ended ones take room until they are deleted");
    let mut reader = store.read().await.unwrap();
    assert_eq!(reader.session_user(session.id, user.id, now()).await.unwrap().unwrap().user, user);
    // Use is noted for the present counter alone, and once.
    let seen = async || store.read().await.unwrap().session_user(session.id, user.id, now()).await.unwrap().unwrap();
    let rotate = RefreshToken { session: session.id, counter: 0, salt: [7; 16] };
    store.write().await.unwrap().rotate_session(&rotate, now(), now().plus(DAY)).await.unwrap().unwrap();
    for (counter, noted) in [(0, 0), (2, 0), (1, 1), (0, 1), (1, 1)] {
        store.write().await.unwrap().mark_session_used(session.id, counter).await.unwrap();
        assert_eq!((seen().await.counter, seen().await.used_counter), (1, noted));
    }
    assert_eq!(reader.session_user(session.id, Uuid::from_u128(1), now()).await.unwrap(), None);
    assert_eq!(reader.session_user(stale.id, user.id, now()).await.unwrap(), None);
    assert_eq!(reader.session_user(session.id, user.id, now().plus(DAY)).await.unwrap(), None);
}

async fn the_sixteen_networks_seen_last_are_kept(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let [ann, bob] = ["ann@example.com", "bob@example.com"].map(|email| User::from_registration(registration(email, "hash"), now()));
    let mut tx = store.begin().await.unwrap();
    tx.insert_users(&[ann.clone(), bob.clone()]).await.unwrap();
    tx.commit().await.unwrap();
    let see = async |networks: &[(&User, u8)], at: Timestamp| {
        let mut tx = store.begin().await.unwrap();
        for (user, network) in networks {
            tx.see_network(user.id, &[*network], at).unwrap();
        }
        tx.commit().await.unwrap();
    };
    let known = async |user: &User| {
        let mut reader = store.read().await.unwrap();
        let mut known = Vec::new();
        for network in 0..40 {
            if reader.knows_network(user.id, &[network], now().minus(DAY)).await.unwrap() {
                known.push(network);
            }
        }
        known
    };
    let at = |hours: u32| now().plus(Duration::from_hours(hours.into()));
    see(&[(&ann, 0), (&bob, 30)], at(0)).await;
    for network in 1..16 {
        see(&[(&ann, network)], at(network.into())).await;
    }
    assert_eq!(known(&ann).await, (0..16).collect::<Vec<u8>>());
    see(&[(&ann, 0)], at(30)).await; // the oldest, seen again
    see(&[(&ann, 16)], at(31)).await;
    assert_eq!(known(&ann).await, [0].into_iter().chain(2..17).collect::<Vec<u8>>());
    assert_eq!(known(&bob).await, [30], "another's are not counted");
}

async fn an_event_goes_once_every_sink_has_it(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let key = |n: u128| Uuid::from_u128(n % 7);
    let mut tx = store.begin().await.unwrap();
    let sealed: Vec<SealedEvent> = (0..100).map(|n| SealedEvent { order_key: key(n), body: vec![1], has_user: false }).collect();
    tx.append_events(&sealed, now()).unwrap();
    tx.commit().await.unwrap();
    let waiting = async |sink: EventSink, without: &[Uuid]| {
        let events = store.read().await.unwrap().waiting_events(sink, without, 1_000).await.unwrap();
        events.into_iter().map(|event| event.id).collect::<Vec<i64>>()
    };
    let mark = async |sink: EventSink, ids: &[i64]| {
        let mut tx = store.begin().await.unwrap();
        tx.mark_events(ids, sink, now()).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (rabbitmq, webhook) = (EventSink::Rabbitmq, EventSink::Webhook);
    let ids = waiting(webhook, &[]).await;
    assert!(ids.len() == 100 && ids.is_sorted());
    assert_eq!(waiting(webhook, &[key(0), key(1), key(2)]).await.len(), 100 - 44);
    // One sink has an event, and the other has not.
    mark(webhook, &ids[..10]).await;
    assert_eq!((waiting(webhook, &[]).await.len(), waiting(rabbitmq, &[]).await.len()), (90, 100));
    // Set aside for one sink, it is not for the other; and it stays until that one has it too.
    store.write().await.unwrap().set_aside_event(ids[99], webhook, now()).await.unwrap();
    assert_eq!(store.read().await.unwrap().event_backlog(webhook).await.unwrap().0, 89);
    mark(rabbitmq, &ids[99..]).await;
    assert_eq!(store.write().await.unwrap().requeue_events(rabbitmq, now()).await.unwrap(), 0);
    assert_eq!(store.write().await.unwrap().requeue_events(webhook, now().plus(DAY)).await.unwrap(), 1);
    let last = store.read().await.unwrap().waiting_events(webhook, &[], 1_000).await.unwrap().pop().unwrap();
    assert_eq!((last.id, last.since), (ids[99], now().plus(DAY)));
    // Both sinks mark the same events at once, in batches that cross: each is gone, and nobody waits in a circle.
    let rising = async || {
        for batch in ids.chunks(15) {
            mark(rabbitmq, batch).await;
        }
    };
    let falling = async || {
        for batch in ids.rchunks(20) {
            let mut batch = batch.to_vec();
            batch.reverse();
            mark(webhook, &batch).await;
        }
    };
    tokio::join!(rising(), falling(), rising(), falling());
    assert!(store.read().await.unwrap().stored_events(1_000).await.unwrap().is_empty());
}

async fn pruning_deletes_what_has_ended(backend: Backend) {
    let Fixture { store, .. } = &fixture(backend).await;
    let ann = registration("ann@example.com", "hash");
    insert(store, &ann).await;
    let mut tx = store.begin().await.unwrap();
    let anns = ann.destination();
    tx.insert_verification(&verification(ann.verification_id)).unwrap();
    tx.lock_destination(Way::new(Purpose::Registration, &anns), now()).await.unwrap();
    tx.append_audit(&[AuditLine::new(AuditKind::AccountDeleted, "done", Origin::default(), now())]).unwrap();
    tx.commit().await.unwrap();
    let prune = async |at: Timestamp| store.prune(at, at.minus(2 * DAY)).await.unwrap();
    assert_eq!(prune(now()).await, 0);
    assert_eq!(prune(ann.expires_at).await, 1);
    assert_eq!(prune(now().plus(DAY)).await, 1, "the destination");
    assert_eq!(prune(now().plus(DAY).plus(Duration::from_mins(5))).await, 1, "the verification");
    assert_eq!(prune(now().plus(2 * DAY)).await, 1, "the line of the audit");
    let at = |n: u64| now().plus(Duration::from_millis(n % 7));
    let line = |n| AuditLine::new(AuditKind::AccountDeleted, "done", Origin::default(), at(n));
    let mut tx = store.begin().await.unwrap();
    tx.append_audit(&(0..1_201).map(line).collect::<Vec<_>>()).unwrap();
    tx.commit().await.unwrap();
    assert_eq!(prune(now().plus(3 * DAY)).await, 1_201, "more than a batch, of few times");
}

async fn migrating_twice_at_once_migrates_once(backend: Backend) {
    let empty = fixture_without_schema(backend).await;
    let other = Store::open(&empty.settings, true).unwrap();
    let (one, two) = tokio::join!(empty.store.migrate(), other.migrate());
    one.unwrap();
    two.unwrap();
    assert!(!other.read().await.unwrap().has_users().await.unwrap());
}

async fn a_node_starts_on_the_schema_of_the_next_release(backend: Backend) {
    const LATER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        SELECT 9999, 'of the next release', success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    let Fixture { store, settings, _database: database, .. } = &fixture(backend).await;
    let url = database.as_ref().map_or(&settings.url, |database| &database.url);
    RawConnection::open(url).await.execute(LATER).await;
    store.migrate().await.unwrap();
}
