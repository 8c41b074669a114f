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

/// Runs each story over both databases, and over a pooler, as a test each; `all` tells the stories of a file. Those `without
/// a pooler` are about HTTP, messages or Redis: they run no statement that others do not run over it.
macro_rules! stories {
    (without a pooler: $($story:ident),* $(,)?) => {
        $(mod $story { story_over!($story: embedded Embedded, fleet Fleet); })*
        all_stories!($($story),*);
    };
    ($($story:ident),* $(,)?) => {
        $(mod $story { story_over!($story: embedded Embedded, fleet Fleet, pooled Pooled); })*
        all_stories!($($story),*);
    };
}

macro_rules! story_over {
    ($story:ident: $($name:ident $backend:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$story($crate::support::Backend::$backend).await }
        )*
    };
}

macro_rules! all_stories {
    ($($story:ident),*) => {
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
