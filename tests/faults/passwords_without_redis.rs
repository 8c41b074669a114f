//! With Redis down people still log in by their password, and nobody guesses without bound.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Backend, process::Sandbox, servers::Breakable as _};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_limited_by_the_node_while_redis_is_down() {
    let mut sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let mut node = sandbox.node();
    node.start();
    let body = json!({"mobile": "+919876543210", "login_id": "ann.1", "password": "correct horse"});
    let answer = node.call(Method::POST, "/auth/register", None, body).await.is(202);
    let id = &answer["verification"]["verification_id"];
    let proof = json!({"verification_id": id, "otp": node.code("+919876543210", 1).await});
    let tokens = node.call(Method::POST, "/auth/verify-otp", None, proof).await.is(200);

    sandbox.redis.as_mut().unwrap().kill();
    let login = async |body: Value| node.call(Method::POST, "/auth/login", None, body).await;
    let right = json!({"login_id": "ann.1", "password": "correct horse"});
    let opened = login(right.clone()).await.is(200);
    for _ in 0..10 {
        login(json!({"login_id": "ann.1", "password": "wrong horse"})).await.is_problem(401, "invalid_credentials");
    }
    login(right).await.is_problem(429, "too_many_attempts");
    login(json!({"mobile": "+919876543210", "password": "correct horse"})).await.is(200);
    let wrong = json!({"current_password": "wrong horse", "new_password": "a new horse"});
    let token = Some(&opened["access_token"]);
    node.call(Method::POST, "/users/me/password", token, wrong).await.is_problem(403, "wrong_password");

    // What needs only SQL works; what issues or judges a code does not.
    node.call(Method::GET, "/users/me", token, Value::Null).await.is(200);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    node.call(Method::POST, "/auth/refresh", None, refresh).await.is(200);
    let mobile = json!({"mobile": "+919876543210"});
    for path in ["/auth/send-otp", "/auth/forgot-password"] {
        node.call(Method::POST, path, None, mobile.clone()).await.is_problem(503, "unavailable");
    }
    node.call(Method::POST, "/auth/logout", token, json!({})).await.is(204);
    node.call(Method::GET, "/users/me", token, Value::Null).await.is(401);
}
