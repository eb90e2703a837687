#include "app/node_setup.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <thread>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/microsoft365_node.hpp"
#include "app/node_process.hpp"
#include "app/setup_parts.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/settings.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/consent.hpp"
#include "input/sources/microsoft365/first_look.hpp"
#include "input/sources/microsoft365/microsoft365.hpp"
#include "tenants/people.hpp"

namespace bavn::app {

namespace {

namespace m365 = input::microsoft365;
using namespace std::chrono_literals;

constexpr Setting kAnswers[] = {
    {"setup.code",
     Unit::none,
     "",
     {0, 400},
     "The one-time code from the joint CERT (bavn1....); empty when this node is enrolled already.",
     Restart::no},
    {"setup.name", Unit::none, "node", {1, 60}, "What this node is called, for people.", Restart::no},
    {"setup.language", Unit::none, "da", {2, 2}, "da, nb or en: language of the words beside each right.", Restart::no},
    {"microsoft365.tenant",
     Unit::none,
     "",
     {0, 36},
     "The tenant's id; it stands in Entra under Overview. Empty: no Microsoft 365.",
     Restart::no},
    {"microsoft365.domains",
     Unit::none,
     "",
     {0, 4000},
     "The municipality's own mail domains, separated by spaces.",
     Restart::no},
    {"microsoft365.label",
     Unit::none,
     "",
     {0, 20},
     "Empty for the first tenant; a word for each further one (school).",
     Restart::no},
    {"microsoft365.consent",
     Unit::none,
     "",
     {0, 400},
     "Where the consent script is run by itself (a stand-in's cloud shell); empty: a person runs it and pastes what it "
     "printed.",
     Restart::no},
    {"microsoft365.login", Unit::none, "https://login.microsoftonline.com", {8, 200}, "Sign-in service.", Restart::no},
    {"microsoft365.graph", Unit::none, "https://graph.microsoft.com", {8, 200}, "Microsoft Graph.", Restart::no},
    {"microsoft365.manage",
     Unit::none,
     "https://manage.office.com",
     {8, 200},
     "Office 365 Management API.",
     Restart::no},
    {"microsoft365.wait",
     Unit::minutes,
     std::int64_t{5},
     {0, 600},
     "How long the setup waits for rights that were just granted.",
     Restart::no},
    {"microsoft365.trace_days",
     Unit::days,
     std::int64_t{30},
     {1, 89},
     "How far back senders are looked at.",
     Restart::no},
    {"duty.name",
     Unit::none,
     "",
     {0, 100},
     "Who is called when something burns; empty: asked for again later.",
     Restart::no},
    {"duty.webhook", Unit::none, "", {0, 400}, "A webhook that reaches that person outside the tenant.", Restart::no},
    {"duty.mail", Unit::none, "", {0, 200}, "A mail address outside the tenant.", Restart::no},
    {"duty.phone", Unit::none, "", {0, 40}, "A phone number outside the tenant.", Restart::no},
    {"beacon.wait",
     Unit::seconds,
     std::int64_t{120},
     {0, 3600},
     "How long the setup waits for the CERT's test beacon; 0: not at all.",
     Restart::no},
};

/// What happened, with the time it took; printed as it happens.
class Steps {
 public:
  explicit Steps(bool json) : json_(json) {}
  void begin(std::string name) {
    name_ = std::move(name);
    at_ = std::chrono::steady_clock::now();
    if (!json_) fmt::print("\n[{:>5.1f} s] {}\n", seconds(start_), name_);
    std::fflush(stdout);
  }
  void say(std::string_view text) {
    if (!json_) fmt::print("          {}\n", text);
    std::fflush(stdout);
  }
  void end(std::string_view state, std::string text) {
    if (!json_) fmt::print("          {}: {} ({:.1f} s)\n", state, text, seconds(at_));
    JsonWriter w(lines_.emplace_back());
    w.object().member("step", name_).member("state", state).member("says", text).member("seconds", seconds(at_)).end();
    ok_ &= state != "failed";
    std::fflush(stdout);
  }
  double total() const { return seconds(start_); }
  bool ok() const { return ok_; }
  const std::vector<std::string>& lines() const { return lines_; }
  bool json() const { return json_; }

 private:
  using Moment = std::chrono::steady_clock::time_point;
  static double seconds(Moment since) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
  }
  bool json_, ok_ = true;
  std::string name_;
  Moment start_ = std::chrono::steady_clock::now(), at_ = start_;
  std::vector<std::string> lines_;
};

/// The node may reach a stand-in inside its own network only when its settings say so.
Result<void> allow_inside(Files& files, const std::string& folder, const std::string& host) {
  const std::string path = folder + "/settings.toml", line = fmt::format("inside = \"{}\"\n", host);
  std::string text;
  if (files.exists(path)) {
    BAVN_TRY(text, read_file(files, path, 1U << 20U));
    if (text.contains("inside")) return {};  // a person decided already
  }
  if (const auto at = text.find("[node]\n"); at != text.npos) text.insert(at + 7, line);
  else text += "[node]\n" + line;
  return replace_file(files, path, text);
}

std::string asked(const char* question) {
  fmt::print("          {}: ", question);
  std::fflush(stdout);
  std::string line;
  std::getline(std::cin, line);
  return std::string(trim(line));
}

class Setup {
 public:
  Setup(const SetupCommand& c, Settings answers)
      : c_(c), answers_(std::move(answers)), steps_(c.json), ask_person_(c.answers.empty() && isatty(0) == 1) {}

  int run() {
    if (!enrolled()) return finish();
    auto held = Folder(c_.data).hold(true);
    if (!held) {
      steps_.begin("The node's folder");
      steps_.end("failed", to_string(held.error()));
      return finish();
    }
    if (!open_state()) return finish();
    microsoft365();
    duty_contact();
    client_.reset();
    left_.reset();
    state_.reset();
    held->reset();
    test_beacon();
    return finish();
  }

 private:
  std::string answer(std::string_view name, const char* question = nullptr) {
    std::string value = answers_.text(name);
    if (value.empty() && question != nullptr && ask_person_) value = asked(question);
    return value;
  }

  bool enrolled() {
    steps_.begin("1 Become a node of the community");
    if (DiskFiles().exists(c_.data + "/keys/enrolment.json")) {
      steps_.end("done", "was enrolled before");
      return true;
    }
    const auto code = answer("setup.code", "One-time code from the CERT (bavn1...)");
    if (code.empty()) {
      steps_.end("failed",
                 "no code: ask the joint CERT for one (bavn hub municipality add) and put it into [setup] code");
      return false;
    }
    const auto done = enrol(runtime_, c_.data, code, answers_.text("setup.name"));
    if (!done) {
      steps_.end("failed", to_string(done.error()));
      return false;
    }
    steps_.end("done", *done);
    return true;
  }

  bool open_state() {
    auto state = store::State::open(runtime_, {.path = c_.data + "/state.db", .schema = {"core", "node"}});
    if (!state) {
      steps_.begin("The node's tables");
      steps_.end("failed", to_string(state.error()));
      return false;
    }
    state_ = std::move(*state);
    net::EgressPolicy policy;
    policy.ports = {};
    for (const char* name :
         {"microsoft365.login", "microsoft365.graph", "microsoft365.manage", "microsoft365.consent", "duty.webhook"})
      if (answers_.text(name).starts_with("http://"))
        policy.inside.push_back(host_in(answers_.text(name)));  // a person wrote it there
    curl_ = net::curl_client(runtime_, std::move(policy));
    left_ = std::make_unique<beacon::LeftUs>(*state_);
    client_ = left_->recording(*curl_, "setup");
    auto tls = tenants::Enrolment::open(runtime_, *curl_, runtime_.queue({.name = "identity"}), c_.data + "/keys");
    if (tls && (*tls)->identity() && !(*tls)->identity()->municipalities.empty())
      municipality_ = (*tls)->identity()->municipalities.front();
    return true;
  }

  void microsoft365() {
    steps_.begin("2 Microsoft 365: an application of your own that may only read");
    const auto tenant = answer("microsoft365.tenant", "The tenant's id (Entra, Overview; empty: no Microsoft 365)");
    if (tenant.empty()) {
      steps_.end("skipped", "no tenant given; run the setup again when there is one");
      return;
    }
    const auto domains = lower_words(answer("microsoft365.domains", "Your own mail domains, separated by spaces"));
    m365::TenantOptions o{.account = {.tenant = to_lower(tenant),
                                      .client = {},
                                      .identity = {},
                                      .endpoints = {.login = answers_.text("microsoft365.login"),
                                                    .graph = answers_.text("microsoft365.graph"),
                                                    .manage = answers_.text("microsoft365.manage")}},
                          .municipality = municipality_,
                          .tenant = TenantId{1},
                          .label = answers_.text("microsoft365.label")};
    const auto client = application(o, domains);
    if (!client) {
      steps_.end("failed", to_string(client.error()));
      return;
    }
    o.account.client = *client;
    if (const auto kept = m365::store_account(*state_, files_, c_.data, o, domains); !kept) {
      steps_.end("failed", to_string(kept.error()));
      return;
    }
    if (o.account.endpoints.graph.starts_with("http://"))
      if (const auto allowed = allow_inside(files_, c_.data, host_in(o.account.endpoints.graph)); !allowed)
        steps_.say(to_string(allowed.error()));
    steps_.end("done", "application " + *client);

    const TenantQuestions tenant_of_mine(runtime_, *client_, o.account);
    table(tenant_of_mine.ask(), tenant_of_mine.access());
    past(tenant_of_mine.ask(), tenant_of_mine.access(), domains);
  }

  /// The key is made here and stays; the script carries the certificate into the tenant.
  Result<std::string> application(m365::TenantOptions& o, const std::vector<std::string>&) {
    BAVN_TRY(const auto before, m365::stored_accounts(*state_, files_, c_.data));
    for (const auto& known : before)
      if (known.label == o.label && known.account.tenant == o.account.tenant) {
        o.account.identity = known.account.identity;
        return known.account.client;
      }
    BAVN_TRY(o.account.identity,
             make_rsa_identity("Bavn node " + answers_.text("setup.name"), runtime_.now(), std::chrono::days(730)));
    BAVN_TRY(const auto script, m365::consent_script(o.account.tenant, o.account.identity.certificate_pem,
                                                     answers_.text("setup.name"), answers_.text("setup.language")));
    BAVN_CHECK(files_.make_dirs(c_.data + "/m365"));
    const auto path = c_.data + "/m365/consent.ps1";
    BAVN_CHECK(replace_file(files_, path, script));
    if (!steps_.json()) fmt::print("          This is the script. Read it; it stands in {}\n\n{}\n", path, script);
    const auto shell = answers_.text("microsoft365.consent");
    if (!shell.empty()) {
      steps_.say("run by " + shell);
      net::ClientRequest request{.method = net::Method::post, .url = shell, .headers = {}, .body = script, .tls = {}};
      request.headers.set("Content-Type", "text/plain; charset=utf-8");
      BAVN_TRY(const auto reply, call(runtime_, *client_, std::move(request)));
      if (reply.status != 200)
        return fail(Code::unavailable,
                    fmt::format("the script ended with {}: {}", reply.status, reply.body.substr(0, 300)), shell);
      return m365::client_id_in(reply.body);
    }
    if (!ask_person_)
      return fail(Code::bad_input,
                  "somebody has to run " + path +
                      " in Azure Cloud Shell: run `bavn node setup` at a terminal, or give [microsoft365] consent");
    steps_.say("Paste it into Azure Cloud Shell (PowerShell). It ends with a line BAVN-CLIENT-ID.");
    return m365::client_id_in(asked("That line"));
  }

  void table(const m365::Ask& ask, const m365::Access& access) {
    steps_.begin("3 What works");
    const auto until = runtime_.steady() + answers_.duration("microsoft365.wait");
    std::vector<m365::SourceCheck> checks;
    for (;;) {
      checks = m365::check_sources(ask, access, runtime_.now());
      const bool waiting = std::any_of(checks.begin(), checks.end(), [](const auto& c) {
        return c.trouble == m365::TroubleKind::permission || c.trouble == m365::TroubleKind::token;
      });
      if (!waiting || runtime_.steady() >= until) break;
      steps_.say("rights that were just granted take some minutes; asking again in five seconds");
      std::this_thread::sleep_for(5s);
    }
    unsigned n[3] = {};
    for (const auto& c : checks) {
      ++n[static_cast<std::size_t>(c.light)];
      std::string line = fmt::format("{:<7} {:<20} {}", m365::to_string(c.light), c.api->name, c.says);
      if (c.lag_seconds >= 0) line += fmt::format("; newest record {} s old (told: {})", c.lag_seconds, c.api->delay);
      steps_.say(line);
    }
    steps_.say("");
    steps_.say("What this municipality cannot see:");
    bool blind = false;
    for (const auto& c : checks)
      if (c.light != m365::Light::green) {
        blind = true;
        const auto& w = c.api->blind;
        const auto& language = answers_.text("setup.language");
        steps_.say(fmt::format("- {} ({})", language == "nb" ? w.nb : language == "en" ? w.en : w.da, c.api->name));
      }
    if (!blind) steps_.say("- nothing of what Microsoft 365 can tell; machines, DNS and firewalls are other sources");
    steps_.end(n[2] == 0 ? "done" : "attention", fmt::format("{} green, {} yellow, {} red", n[0], n[1], n[2]));
  }

  void past(const m365::Ask& ask, const m365::Access& access, const std::vector<std::string>& domains) {
    steps_.begin("4 What the past shows");
    const auto days =
        std::chrono::duration_cast<std::chrono::days>(answers_.duration("microsoft365.trace_days")).count();
    const auto p = m365::look_back(ask, access, domains, runtime_.now(), static_cast<unsigned>(days));
    steps_.say(fmt::format("Applications that may read or send everybody's mail: {}", p.applications.size()));
    for (const auto& a : p.applications) steps_.say(fmt::format("- {}: {}, since {}", a.name, a.right, a.since));
    steps_.say(fmt::format("Mailboxes and rules that forward or delete: {}", p.forwarding.size()));
    for (const auto& f : p.forwarding) steps_.say(fmt::format("- {}: {} ({})", f.mailbox, f.what, f.at));
    steps_.say(
        fmt::format("Users may register applications: {}; users may consent for themselves: {}; conditional access "
                    "policies that are on: {}",
                    p.users_may_register ? "yes" : "no", p.users_may_consent ? "yes" : "no", p.access_policies));
    steps_.say(
        fmt::format("Senders that look like you, in {} mails of {} days: {}", p.mails, days, p.lookalikes.size()));
    for (const auto& l : p.lookalikes) steps_.say(fmt::format("- {} ({} mails): {}", l.domain, l.mails, l.why));
    for (const auto& domain : domains) {
      const auto d = m365::dmarc_of(domain, txt_records);
      steps_.say(fmt::format("DMARC of {}: {}{}", d.domain, d.policy.empty() ? "" : d.policy + ", ", d.says));
    }
    for (const auto& n : p.not_seen) steps_.say("! not looked at: " + n);
    steps_.end("done", fmt::format("{} applications, {} forwardings, {} look-alikes", p.applications.size(),
                                   p.forwarding.size(), p.lookalikes.size()));
  }

  void duty_contact() {
    steps_.begin("5 Who is called");
    const auto name = answer("duty.name", "Name of the duty contact");
    if (name.empty()) {
      steps_.end("skipped", "nobody named: nobody can be called; run the setup again");
      return;
    }
    const auto webhook = answer("duty.webhook"),
               mail = answer("duty.mail", "Mail address outside the tenant (empty: none)"),
               phone = answer("duty.phone", "Phone outside the tenant");
    const auto stored = keep_duty_contact(
        event::Scope::local_owner(), runtime_, *state_, municipality_,
        {.name = name, .language = answers_.text("setup.language"), .phone = phone, .mail = mail, .webhook = webhook});
    if (!stored) {
      steps_.end("failed", to_string(stored.error()));
      return;
    }
    if (webhook.empty()) {
      steps_.end("attention",
                 name + " is written down; no webhook was given, so nothing was tried: call the number once yourself");
      return;
    }
    const auto code = fmt::format("{:06}", runtime_.random_below(1'000'000));
    net::ClientRequest request{.method = net::Method::post, .url = webhook, .headers = {}, .body = {}, .tls = {}};
    request.headers.set("Content-Type", "application/json");
    JsonWriter(request.body)
        .object()
        .member("type", "bavn.test")
        .member("text",
                fmt::format(
                    "Bavn: this is a test for {}. If you are not the duty contact, tell your IT department. Code {}",
                    name, code))
        .member("code", code)
        .end();
    const auto reply = call(runtime_, *client_, std::move(request));
    if (!reply) steps_.end("failed", "the test message did not leave: " + to_string(reply.error()));
    else if (reply->status < 200 || reply->status >= 300)
      steps_.end("failed", fmt::format("the webhook answered {}", reply->status));
    else if (ask_person_ && asked("The code that the duty contact received") != code)
      steps_.end("attention", "the message left, but the code was not the one in it");
    else steps_.end("done", fmt::format("a test message reached the webhook of {}", name));
  }

  void test_beacon() {
    steps_.begin("6 The test beacon");
    const auto wait = answers_.duration("beacon.wait");
    if (wait.count() == 0) {
      steps_.end("skipped", "not waited for");
      return;
    }
    Metrics metrics;
    NodeRun run;
    run.folder = c_.data;
    auto node = NodeProcess::open(runtime_, metrics, run);
    if (!node) {
      steps_.end("failed", to_string(node.error()));
      return;
    }
    auto* beacon = (*node)->core().beacon();
    if (beacon == nullptr) {
      steps_.end("failed", "the node does not know its hub");
      return;
    }
    steps_.say("the CERT lights it now: bavn hub test-beacon");
    const auto until = runtime_.steady() + wait;
    while (runtime_.steady() < until) {
      const auto items = beacon->left_us().items(event::Scope::local_owner());
      if (items)
        for (const auto& item : *items)
          if (item.kind == "answer" && item.text.contains("test_beacon") && item.acknowledged_us) {
            steps_.end("done", "the hub has this node's answer");
            return;
          }
      std::this_thread::sleep_for(200ms);
    }
    steps_.end("attention", "no test beacon came; the node works on, ask the CERT to light one");
  }

  int finish() {
    if (steps_.json()) {
      std::string out;
      JsonWriter w(out);
      w.object().key("steps").array();
      for (const auto& line : steps_.lines()) w.raw(line);
      w.end().member("seconds", steps_.total()).member("ok", steps_.ok()).end();
      fmt::print("{}\n", out);
    } else {
      fmt::print("\n[{:>5.1f} s] {}\n", steps_.total(),
                 steps_.ok()
                     ? "Done. Next: bavn node --data " + c_.data
                     : "Not finished: repair what failed and run the setup again; what is done is not asked again.");
    }
    return steps_.ok() ? kDone : kFailed;
  }

  const SetupCommand& c_;
  Settings answers_;
  Steps steps_;
  bool ask_person_;
  Threads runtime_;
  DiskFiles files_;
  MunicipalityId municipality_{};
  std::unique_ptr<net::Client> curl_;
  std::unique_ptr<store::State> state_;
  std::unique_ptr<beacon::LeftUs> left_;
  std::unique_ptr<net::Client> client_;
};

}  // namespace

std::string setup_answers_explained() {
  return Settings::defaults(kAnswers).explain();
}

int node_setup(const SetupCommand& c) {
  Settings answers = Settings::defaults(kAnswers);
  if (!c.answers.empty()) {
    DiskFiles files;
    const auto text = read_file(files, c.answers, 1U << 20U);
    if (!text) return failed(text.error());
    auto read = Settings::read(kAnswers, *text, c.answers);
    if (!read) return failed(read.error());
    answers = std::move(*read);
  }
  return Setup(c, std::move(answers)).run();
}

}  // namespace bavn::app
