//! Redis may lose everything, or come back with an older copy: nobody gets a free guess by it.

use serde_json::json;

use crate::support::{
    Backend, Options, TestApp,
    app::{PendingRegistration, fresh_ip, other_than},
    servers::OwnRedis,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_gives_no_guess_away_fleet() {
    an_emptied_redis_gives_no_guess_away(Backend::Fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_gives_no_guess_away_sqlite_redis() {
    an_emptied_redis_gives_no_guess_away(Backend::SqliteRedis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_redis_gives_no_guess_away_fleet() {
    an_older_copy_gives_no_guess_away(Backend::Fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_redis_gives_no_guess_away_sqlite_redis() {
    an_older_copy_gives_no_guess_away(Backend::SqliteRedis).await;
}

async fn start(backend: Backend, redis: &OwnRedis) -> (TestApp, PendingRegistration) {
    let options = Options::default()
        .with("REDIS_URL", redis.url())
        .with("ENROLL__LIMITS__SENDS_PER_DESTINATION", "1000/3600")
        .with("ENROLL__CODES__RESEND_AFTER", 0);
    let app = TestApp::with(backend, options).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    (app, ann)
}

async fn connect(redis: &OwnRedis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn empty(connection: &mut redis::aio::MultiplexedConnection) {
    redis::cmd("FLUSHALL").exec_async(connection).await.unwrap();
}

async fn resend(app: &TestApp, ann: &PendingRegistration, messages: usize) -> String {
    let body = json!({"verification_id": ann.verification_id});
    app.post_from(&fresh_ip(), "/auth/resend-otp", body).await.is(200);
    app.code(&ann.verification_id, messages).await
}

async fn an_emptied_redis_gives_no_guess_away(backend: Backend) {
    let redis = OwnRedis::launch();
    let mut connection = connect(&redis).await;
    let (app, ann) = start(backend, &redis).await;
    let mut compared = 0;
    let mut otp = ann.otp.clone();
    for round in 0..16 {
        match app.verify(&ann, &other_than(&otp)).await.status {
            400 => compared += 1,
            429 => {}
            other => panic!("{other}"),
        }
        empty(&mut connection).await;
        otp = resend(&app, &ann, round + 2).await;
        if compared >= 10 {
            // One for each code, with the id; none without.
            app.post("/auth/verify-otp", json!({"mobile": "9876543210", "otp": other_than(&otp)}))
                .await
                .is_problem(429, "too_many_attempts");
        }
    }
    assert_eq!(compared, 16, "ten of the budget, then one for each of six codes");
    // Emptied between a wrong guess and the next one at the same code: the code is gone with it.
    app.verify(&ann, &other_than(&otp)).await.is_problem(400, "invalid_code");
    empty(&mut connection).await;
    app.verify(&ann, &otp).await.is_problem(400, "invalid_code");
    let otp = resend(&app, &ann, 18).await;
    app.verify(&ann, &otp).await.is(200);
}

/// Every key with its value and its time to live.
async fn copy(connection: &mut redis::aio::MultiplexedConnection) -> Vec<(String, Vec<u8>, i64)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(connection).await.unwrap();
    let mut copied = Vec::new();
    for key in keys {
        let value: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(connection).await.unwrap();
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(connection).await.unwrap();
        copied.push((key, value, left.max(0)));
    }
    copied
}

async fn put_back(connection: &mut redis::aio::MultiplexedConnection, copied: &[(String, Vec<u8>, i64)]) {
    empty(connection).await;
    // A worker of the server may have written meanwhile.
    for (key, value, left) in copied {
        redis::cmd("RESTORE").arg(key).arg(left).arg(value).arg("REPLACE").exec_async(connection).await.unwrap();
    }
}

async fn an_older_copy_gives_no_guess_away(backend: Backend) {
    let redis = OwnRedis::launch();
    let mut connection = connect(&redis).await;
    let (app, ann) = start(backend, &redis).await;
    let wrong = other_than(&ann.otp);
    let before = copy(&mut connection).await;
    let mut compared = 0;
    for _ in 0..30 {
        match app.verify(&ann, &wrong).await.status {
            400 => compared += 1,
            429 => {}
            other => panic!("{other}"),
        }
        put_back(&mut connection, &before).await;
    }
    assert_eq!(compared, 11, "ten of the budget, and one more of this code");
    let otp = resend(&app, &ann, 2).await;
    app.verify(&ann, &otp).await.is(200);
    put_back(&mut connection, &before).await;
    app.verify(&ann, &ann.otp).await.is_problem(400, "invalid_code");
}
