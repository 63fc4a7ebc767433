//! Somebody who looks at the console, while an application feeds it.

use esper_sandbox::{Sandbox, SandboxBuilder};
use reqwest::{RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;
use tokio::time::timeout;

use crate::caller::{Answer, Caller};
use crate::raw::PATIENCE;

pub(crate) const IP: &str = "203.0.113.7";

/// A sandbox with its console, and an application that feeds it.
pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    pub(crate) caller: Caller,
}

impl Desk {
    pub(crate) async fn start() -> Self {
        Self::of(Sandbox::builder()).await
    }

    pub(crate) async fn of(builder: SandboxBuilder) -> Self {
        let sandbox = builder.start().await.expect("a sandbox");
        let mut caller = Caller::of(&sandbox);
        let http = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
        caller.http = http.build().expect("a client");
        Self { sandbox, caller }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.caller.http.get(format!("{}{path}", self.sandbox.url()))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.caller.http.post(format!("{}{path}", self.sandbox.url()))
    }

    pub(crate) async fn page(&self) -> String {
        let answer = Answer::to(self.get("/")).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.body.as_str().expect("a page").to_owned()
    }

    pub(crate) async fn follow(&self) -> Stream {
        Stream::of(self.get("/console/stream").send().await.expect("a stream"))
    }

    /// What the stream shows first.
    pub(crate) async fn view(&self) -> Value {
        self.follow().await.next().await.expect("a view")
    }
}

/// The console's stream, as a browser reads it.
pub(crate) struct Stream {
    pub(crate) response: Response,
    read: String,
}

impl Stream {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, read: String::new() }
    }

    /// The next view; none when the stream is over.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        timeout(PATIENCE, async {
            loop {
                if let Some((message, rest)) = self.read.split_once("\n\n") {
                    let data = message.lines().find_map(|line| line.strip_prefix("data: "));
                    let view = data.map(|data| serde_json::from_str(data).expect("a view"));
                    self.read = rest.to_owned();
                    if view.is_some() {
                        return view;
                    }
                } else {
                    let chunk = self.response.chunk().await.ok().flatten()?;
                    self.read.push_str(str::from_utf8(&chunk).expect("whole characters"));
                }
            }
        })
        .await
        .expect("news in time")
    }

    /// The first view that is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..100 {
            let view = self.next().await.expect("a view");
            if wanted(&view) {
                return view;
            }
        }
        panic!("no view of a hundred is as wanted");
    }
}

pub(crate) fn rows(view: &Value) -> &Vec<Value> {
    view["rows"].as_array().expect("rows")
}

pub(crate) fn has_row(view: &Value, what: &str, detail: &str) -> bool {
    let is_it = |row: &Value| {
        let text = format!("{} {}", row["detail"], row["note"]);
        let visitor = row["visitor"].as_str().is_some_and(|visitor| visitor.contains(IP));
        row["what"] == what && visitor && text.contains(detail)
    };
    rows(view).iter().any(is_it)
}
