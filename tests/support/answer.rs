//! A response, and what a test expects of it.

use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap_or_default() }
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub fn is_success(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:#?}");
        let status = self.status;
        self.is(status)
    }

    #[track_caller]
    pub fn is_problem(self, status: u16, code: &str) -> Value {
        let content_type = self.header("content-type").unwrap_or_default().to_owned();
        let problem = self.clone().is(status);
        assert_eq!(content_type, "application/problem+json", "{self:#?}");
        assert_eq!(problem["code"], code, "{self:#?}");
        assert_eq!(problem["status"], status, "{self:#?}");
        assert_eq!(problem["request_id"], self.header("x-request-id").unwrap_or_default(), "{self:#?}");
        problem
    }

    /// A 422 whose errors are just these.
    #[track_caller]
    pub fn is_invalid(self, fields: &[(&str, &str)]) {
        let problem = self.is_problem(422, "invalid_fields");
        let mut errors: Vec<(&str, &str)> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        let mut expected = fields.to_vec();
        errors.sort_unstable();
        expected.sort_unstable();
        assert_eq!(errors, expected, "{problem:#}");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
