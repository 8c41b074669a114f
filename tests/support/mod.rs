//! The support that all tests share: a real server on a free port, over either backend, and a client that
//! prints the whole answer when it is not the expected one.

pub mod answer;
pub mod app;
pub mod backend;
pub mod fake_mail_server;
pub mod fake_provider;
pub mod forwarder;
pub mod process;
pub mod rabbit;
pub mod secrets;
pub mod servers;

pub use answer::Answer;
pub use app::{Options, TestApp};
pub use backend::Backend;

/// Runs the story over both backends, and over a pooler, as a test each; `all` tells the stories of a file.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        $(
            mod $story {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn embedded() { super::$story($crate::support::Backend::Embedded).await }
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn fleet() { super::$story($crate::support::Backend::Fleet).await }
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn pooled() { super::$story($crate::support::Backend::Pooled).await }
            }
        )*

        pub fn all() -> Vec<$crate::support::Story> {
            vec![$({
                fn told() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
                    Box::pin($story($crate::support::Backend::Embedded))
                }
                (concat!(module_path!(), "::", stringify!($story)), told)
            }),*]
        }
    };
}

/// A story's name, and the story over the embedded backend.
pub type Story = (&'static str, fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>);
