#include "app/setup_desk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/describe/class.hpp>
#include <mutex>

#include "app/setup_parts.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/consent.hpp"
#include "input/sources/microsoft365/microsoft365.hpp"
#include "net/json_views.hpp"
#include "store/state.hpp"
#include "tenants/people.hpp"

namespace bavn::show::api {

BOOST_DESCRIBE_STRUCT(SetupAsk, (), (name, type, doc, value, required))
BOOST_DESCRIBE_STRUCT(SetupCheck, (), (name, light, says, blind, lag_seconds))
BOOST_DESCRIBE_STRUCT(SetupPast::Application, (), (name, right, since))
BOOST_DESCRIBE_STRUCT(SetupPast::Forwarding, (), (mailbox, what, at))
BOOST_DESCRIBE_STRUCT(SetupPast::Lookalike, (), (domain, why, mails))
BOOST_DESCRIBE_STRUCT(SetupPast::Dmarc, (), (domain, policy, says))
BOOST_DESCRIBE_STRUCT(SetupPast, (),
                      (applications, forwarding, lookalikes, dmarc, users_may_register, users_may_consent, looked,
                       access_policies, mails, not_seen))
BOOST_DESCRIBE_STRUCT(SetupStep, (), (id, state, says, seconds, at_us, script, lines, asks, checks, past))
BOOST_DESCRIBE_STRUCT(SetupView, (), (state, started_us, restart_needed, steps))

}  // namespace bavn::show::api

namespace bavn::app {

namespace m365 = input::microsoft365;
using show::api::SetupAsk;
using show::api::SetupStep;
using show::api::SetupView;

namespace {

constexpr std::array<const char*, 6> kSteps = {"enrol", "microsoft365", "what_works",
                                               "past",  "duty_contact", "test_beacon"};
constexpr std::size_t kMostBytes = 4U << 20U;  // of what is kept
constexpr unsigned kTraceDays = 30;
/// Rights that were just granted take minutes; asked again that often, that long.
constexpr Duration kAgain = std::chrono::seconds(10), kPatience = std::chrono::minutes(10);

SetupAsk ask(std::string name, std::string doc, bool required) {
  SetupAsk a;
  a.name = std::move(name);
  a.doc = std::move(doc);
  a.required = required;
  return a;
}

SetupStep step_of(std::string id, std::string state, std::string says) {
  SetupStep s;
  s.id = std::move(id);
  s.state = std::move(state);
  s.says = std::move(says);
  return s;
}

std::vector<SetupAsk> asks_of(std::string_view step, bool script) {
  if (step == "microsoft365" && script) return {ask("client_line", "The line that the script ended with.", true)};
  if (step == "microsoft365")
    return {ask("tenant", "The tenant's id; it stands in Entra under Overview.", true),
            ask("domains", "The municipality's own mail domains, separated by spaces.", true)};
  if (step == "duty_contact")
    return {ask("name", "Who is called when something burns.", true),
            ask("phone", "A phone number outside the tenant.", false),
            ask("mail", "A mail address outside the tenant.", false),
            ask("webhook", "A webhook (https) that reaches that person outside the tenant.", false)};
  return {};
}

/// What the setup still has to have from a person, before the script can be made and after.
struct Waiting {
  std::string tenant, domains, login, graph, manage, script;
};
BOOST_DESCRIBE_STRUCT(Waiting, (), (tenant, domains, login, graph, manage, script))

std::string text_of(const std::map<std::string, std::string>& answers, const char* name,
                    std::string_view otherwise = {}) {
  const auto at = answers.find(name);
  return at == answers.end() ? std::string(otherwise) : std::string(trim(at->second));
}

std::unexpected<Error> wrong(std::string_view answer, std::string what) {
  return fail(Code::bad_input, std::move(what), fmt::format("/answers/{}", answer));
}

}  // namespace

struct SetupDesk::Inner : std::enable_shared_from_this<SetupDesk::Inner> {
  explicit Inner(SetupDeskParts p) : parts(std::move(p)), queue(parts.runtime.queue({.name = "setup", .threads = 1})) {}

  SetupDeskParts parts;
  QueueId queue;
  mutable DiskFiles files;
  Guarded<SetupView> kept;
  std::atomic<bool> stopping{false};
  std::mutex at_work;  // held while a step works

  std::string at(std::string_view name) const { return fmt::format("{}/{}", parts.folder, name); }

  void load() {
    SetupView v;
    if (const auto text = read_file(files, at("setup.json"), kMostBytes)) {
      if (auto read = net::from_json<SetupView>(*text, net::Unknown::ignore)) v = std::move(*read);
      else log::warn("setup_not_read", {{"reason", to_string(read.error())}});
    }
    std::vector<SetupStep> steps;
    for (const char* id : kSteps) {
      const auto there = std::ranges::find(v.steps, id, &SetupStep::id);
      steps.push_back(there != v.steps.end() ? std::move(*there) : step_of(id, "todo", {}));
      if (steps.back().state == "running") {
        steps.back().state = "failed";
        steps.back().says = "the node stopped while this ran; run it again";
      }
    }
    v.steps = std::move(steps);
    v.restart_needed = false;  // it was: this is a new start
    const bool fresh = v.started_us == 0;
    if (!parts.name.empty()) of(v, "enrol") = step_of("enrol", "done", parts.name);
    else of(v, "enrol").says = "a one-time code from the joint CERT is used at the machine: bavn node setup";
    const auto accounts = m365::stored_accounts(parts.state, files, parts.folder);
    if (fresh && accounts && !accounts->empty())  // walked at a terminal
      for (const char* id : {"microsoft365", "what_works", "past", "test_beacon"}) {
        of(v, id).state = "done";
        of(v, id).says = "done at the machine";
      }
    see_duty_contact(v);
    for (SetupStep& s : v.steps) s.asks = s.state == "done" ? std::vector<SetupAsk>{} : asks_of(s.id, s.script);
    settle(v);
    kept.with([&](SetupView& k) { k = std::move(v); });
  }

  /// Who is called may be written down elsewhere, too: by a command, on the page of contacts, at a terminal before this began.
  void see_duty_contact(SetupView& v) const {
    SetupStep& s = of(v, "duty_contact");
    if (s.state == "done" || s.state == "running" || parts.name.empty()) return;
    const tenants::People people(parts.runtime, parts.state);
    const auto duty = people.duty_contacts(event::Scope::local_owner(), parts.municipality);
    if (!duty || duty->empty()) return;
    // What was asked of a person here, to call once, stands until a way has answered.
    if (s.state == "attention" && tenants::how_reachable(*duty) != "tested") return;
    s.state = "done";
    s.says = duty->front().name;
    s.asks.clear();
  }

  static SetupStep& of(SetupView& v, std::string_view id) {
    const auto at = std::ranges::find(v.steps, id, &SetupStep::id);
    BAVN_ASSERT(at != v.steps.end());
    return *at;
  }

  /// The state of all from the states of each.
  static void settle(SetupView& v) {
    const auto any = [&](std::string_view state) {
      return std::ranges::any_of(v.steps, [&](const auto& s) { return s.state == state; });
    };
    const bool all_over = std::ranges::all_of(v.steps, [](const SetupStep& s) {
      return s.state == "done" || s.state == "skipped" || s.state == "attention";
    });
    v.state = any("running")     ? "running"
              : any("failed")    ? "failed"
              : any("waiting")   ? "waiting"
              : !all_over        ? "todo"
              : any("attention") ? "attention"
                                 : "done";
  }

  /// Changes a step, what is kept, and tells those who look.
  void change(std::string_view id, const std::function<void(SetupStep&, SetupView&)>& f) {
    const std::string text = kept.with([&](SetupView& v) {
      SetupStep& step = of(v, id);
      f(step, v);
      step.asks = step.state == "done" || step.state == "running" ? std::vector<SetupAsk>{} : asks_of(id, step.script);
      settle(v);
      return net::to_json(v);
    });
    if (const auto written = replace_file(files, at("setup.json"), text); !written)
      log::warn("setup_not_kept", {{"reason", to_string(written.error())}});
    parts.state.write([id = std::string(id)](store::Tx& tx) { return tx.emit("setup.changed", id); });
  }

  void end(std::string_view id, std::string_view state, std::string says, std::int64_t began_us) {
    change(id, [&](SetupStep& s, SetupView&) {
      s.state = state;
      s.says = std::move(says);
      s.at_us = micros(parts.runtime.now());
      s.seconds = static_cast<double>(s.at_us - began_us) / 1e6;
    });
  }

  Result<m365::TenantOptions> account() const {
    BAVN_TRY(auto all, m365::stored_accounts(parts.state, files, parts.folder));
    if (all.empty()) return fail(Code::conflict, "Microsoft 365 comes first: its application is asked here");
    return std::move(all.front());
  }

  std::string_view blind_of(const m365::Api& api) const {
    return parts.language == "nb" ? api.blind.nb : parts.language == "en" ? api.blind.en : api.blind.da;
  }

  std::optional<Waiting> waiting() const {
    const auto text = read_file(files, at("m365/waiting.json"), kMostBytes);
    if (!text) return std::nullopt;
    auto w = net::from_json<Waiting>(*text, net::Unknown::ignore);
    return w ? std::optional(std::move(*w)) : std::nullopt;
  }

  // --- steps; each runs on the queue ---

  /// The key is made here and stays; the script, which a person reads and runs, carries its certificate into the tenant.
  Result<void> make_script(const Waiting& wanted) {
    Waiting w = wanted;
    const std::string all = parts.name.substr(0, 60);
    BAVN_TRY(const auto identity, make_rsa_identity("Bavn node " + all, parts.runtime.now(), std::chrono::days(730)));
    BAVN_TRY(w.script, m365::consent_script(w.tenant, identity.certificate_pem, all, parts.language));
    BAVN_CHECK(files.make_dirs(at("m365")));
    BAVN_CHECK(replace_file(files, at("m365/waiting.key.pem"), identity.key_pem));
    BAVN_CHECK(replace_file(files, at("m365/waiting.cert.pem"), identity.certificate_pem));
    return replace_file(files, at("m365/waiting.json"), net::to_json(w));
  }

  Result<std::string> consented(std::string_view line) {
    const auto w = waiting();
    if (!w) return fail(Code::conflict, "there is no script that waits: give the tenant first");
    BAVN_TRY(const std::string client, m365::client_id_in(line));
    m365::TenantOptions o{.account = {.tenant = w->tenant,
                                      .client = client,
                                      .identity = {},
                                      .endpoints = {.login = w->login, .graph = w->graph, .manage = w->manage}},
                          .municipality = parts.municipality,
                          .tenant = TenantId{1}};
    BAVN_TRY(o.account.identity.key_pem, read_file(files, at("m365/waiting.key.pem"), 1U << 16U));
    BAVN_TRY(o.account.identity.certificate_pem, read_file(files, at("m365/waiting.cert.pem"), 1U << 16U));
    BAVN_CHECK(m365::store_account(parts.state, files, parts.folder, o, lower_words(w->domains)));
    for (const char* name : {"m365/waiting.json", "m365/waiting.key.pem", "m365/waiting.cert.pem"})
      BAVN_CHECK(files.unlink(at(name)));
    return client;
  }

  void what_works(std::int64_t began_us) {
    const auto o = account();
    if (!o) return end("what_works", "failed", to_string(o.error()), began_us);
    std::vector<m365::SourceCheck> checks;
    {
      const TenantQuestions questions(parts.runtime, parts.client, o->account);
      checks = m365::check_sources(questions.ask(), questions.access(), parts.runtime.now());
    }
    std::array<unsigned, 3> n{};
    std::vector<show::api::SetupCheck> seen;
    bool rights_wait = false;
    for (const auto& c : checks) {
      ++n[static_cast<std::size_t>(c.light)];
      rights_wait |= c.trouble == m365::TroubleKind::permission || c.trouble == m365::TroubleKind::token;
      seen.push_back({.name = std::string(c.api->name),
                      .light = std::string(m365::to_string(c.light)),
                      .says = c.says,
                      .blind = c.light == m365::Light::green ? std::string() : std::string(blind_of(*c.api)),
                      .lag_seconds = c.lag_seconds});
    }
    const bool again = rights_wait && !stopping && micros(parts.runtime.now()) - began_us < kPatience.count();
    change("what_works", [&](SetupStep& s, SetupView&) {
      s.checks = std::move(seen);
      s.says = fmt::format("{} green, {} yellow, {} red", n[0], n[1], n[2]);
      if (again) {
        s.says += "; rights that were just granted take some minutes: asked again every ten seconds";
        return;
      }
      s.state = n[2] == 0 ? "done" : "attention";
      s.at_us = micros(parts.runtime.now());
      s.seconds = static_cast<double>(s.at_us - began_us) / 1e6;
    });
    if (again) work(kAgain, [this, began_us] { what_works(began_us); });
  }

  void past(std::int64_t began_us) {
    const auto o = account();
    if (!o) return end("past", "failed", to_string(o.error()), began_us);
    const TenantQuestions questions(parts.runtime, parts.client, o->account);
    const auto p = m365::look_back(questions.ask(), questions.access(), o->domains, parts.runtime.now(), kTraceDays);
    show::api::SetupPast seen;
    seen.looked = true;
    for (const auto& a : p.applications) seen.applications.push_back({a.name, a.right, a.since});
    for (const auto& f : p.forwarding) seen.forwarding.push_back({f.mailbox, f.what, f.at});
    for (const auto& l : p.lookalikes) seen.lookalikes.push_back({l.domain, l.why, static_cast<std::int64_t>(l.mails)});
    for (const auto& domain : o->domains) {
      const auto d = m365::dmarc_of(domain, txt_records);
      seen.dmarc.push_back({d.domain, d.policy, d.says});
    }
    seen.users_may_register = p.users_may_register;
    seen.users_may_consent = p.users_may_consent;
    seen.access_policies = static_cast<std::int64_t>(p.access_policies);
    seen.mails = static_cast<std::int64_t>(p.mails);
    seen.not_seen = p.not_seen;
    change("past", [&](SetupStep& s, SetupView&) {
      s.past = std::move(seen);
      s.state = "done";
      s.says = fmt::format("{} applications, {} forwardings, {} look-alikes", p.applications.size(),
                           p.forwarding.size(), p.lookalikes.size());
      s.at_us = micros(parts.runtime.now());
      s.seconds = static_cast<double>(s.at_us - began_us) / 1e6;
    });
  }

  /// Waits for the answer that left this node to be acknowledged.
  void beacon_seen(std::int64_t began_us) {
    const auto items = parts.beacon->left_us().items(event::Scope::local_owner());
    if (items)
      for (const auto& item : *items)
        if (item.kind == "answer" && item.text.contains("test_beacon") && item.acknowledged_us)
          return end("test_beacon", "done", "the hub has this node's answer", began_us);
    if (micros(parts.runtime.now()) - began_us >= kPatience.count())
      return end("test_beacon", "attention", "no test beacon came; the node works on, ask the CERT to light one",
                 began_us);
    work(std::chrono::seconds(1), [this, began_us] { beacon_seen(began_us); });
  }

  /// Takes the step, or says why not: conflict when one runs.
  Result<std::int64_t> begin(std::string_view id) {
    const std::int64_t now = micros(parts.runtime.now());
    bool busy = false;
    kept.with([&](SetupView& v) {
      busy = std::ranges::any_of(v.steps, [](const auto& s) { return s.state == "running"; });
      if (busy) return;
      of(v, id).state = "running";
      if (v.started_us == 0) v.started_us = now;
    });
    if (busy) return fail(Code::conflict, "a step is running; the next one can begin when it has ended");
    change(id, [](SetupStep& s, SetupView&) { s.says.clear(); });
    return now;
  }

  /// On the queue, unless this is stopping by then.
  void work(Duration after, std::function<void()> f) {
    parts.runtime.after(after, queue, [self = shared_from_this(), f = std::move(f)] {
      const std::lock_guard lock(self->at_work);
      if (!self->stopping) f();
    });
  }
};

SetupDesk::SetupDesk(SetupDeskParts parts) : inner_(std::make_shared<Inner>(std::move(parts))) {
  inner_->load();
}

SetupDesk::~SetupDesk() {
  stop();
}

void SetupDesk::stop() {
  inner_->stopping = true;
  const std::lock_guard until_it_rests(inner_->at_work);
}

SetupView SetupDesk::view() const {
  SetupView v = inner_->kept.with([](const SetupView& kept) { return kept; });
  inner_->see_duty_contact(v);
  Inner::settle(v);
  return v;
}

Result<std::string> SetupDesk::consent_script() const {
  const auto w = inner_->waiting();
  if (!w) return fail(Code::not_found, "no script waits to be run");
  return w->script;
}

Result<void> SetupDesk::run(const event::Scope& scope, std::string_view step,
                            const std::map<std::string, std::string>& answers, bool skip) {
  Inner& in = *inner_;
  if (std::ranges::find(kSteps, step) == kSteps.end())
    return fail(Code::not_found, "there is no such step", std::string(step));
  const std::string id(step);
  const auto audited = [&](std::string_view what) {
    return in.parts.state.write_now(
        [&](store::Tx& tx) { return tx.audit({scope.who(), fmt::format("setup.{}", what), "setup:" + id, "{}"}); });
  };
  if (id == "enrol") {
    if (in.parts.name.empty())
      return fail(Code::conflict,
                  "a one-time code is used at the machine: bavn node setup, then this node is started again");
    return {};
  }
  if (in.parts.name.empty())
    return fail(Code::conflict, "this node belongs to no community yet: enrolment comes first");
  if (skip) {
    BAVN_TRY(const std::int64_t began, in.begin(id));
    in.end(id, "skipped", "left for later", began);
    return audited("skipped");
  }
  if (id == "microsoft365" && in.waiting() && answers.contains("client_line")) {
    BAVN_TRY(const std::int64_t began, in.begin(id));
    const auto client = in.consented(text_of(answers, "client_line"));
    if (!client) {
      in.end(id, "waiting", "Paste the line that the script ended with.", began);
      return client.error().code == Code::not_found ? wrong("client_line", client.error().what)
                                                    : std::unexpected(client.error());
    }
    in.change(id, [](SetupStep& s, SetupView& v) {
      s.script = false;
      v.restart_needed = true;  // sources of the tenant begin with the next start
    });
    in.end(id, "done", "application " + *client, began);
    return audited("consented");
  }
  if (id == "microsoft365") {
    Waiting w{.tenant = to_lower(text_of(answers, "tenant")),
              .domains = to_lower(text_of(answers, "domains")),
              .login = text_of(answers, "login", "https://login.microsoftonline.com"),
              .graph = text_of(answers, "graph", "https://graph.microsoft.com"),
              .manage = text_of(answers, "manage", "https://manage.office.com"),
              .script = {}};
    if (!m365::is_guid(w.tenant))
      return wrong(
          "tenant",
          "the tenant's id looks like 11111111-2222-3333-4444-555555555555; it stands in Entra under Overview");
    if (lower_words(w.domains).empty())
      return wrong("domains", "at least one mail domain of the municipality is needed");
    BAVN_TRY(const std::int64_t began, in.begin(id));
    if (const auto made = in.make_script(w); !made) {
      in.end(id, "failed", to_string(made.error()), began);
      return made;
    }
    in.change(id, [](SetupStep& s, SetupView&) { s.script = true; });
    in.end(id, "waiting", "Read the script and run it in Azure Cloud Shell. It ends with a line BAVN-CLIENT-ID.",
           began);
    return audited("script_made");
  }
  if (id == "what_works" || id == "past") {
    BAVN_CHECK(in.account());
    BAVN_TRY(const std::int64_t began, in.begin(id));
    in.work(Duration{0}, [&in, began, id] { id == "past" ? in.past(began) : in.what_works(began); });
    return audited("asked");
  }
  if (id == "duty_contact") {
    const DutyAnswers who{text_of(answers, "name"), in.parts.language, text_of(answers, "phone"),
                          text_of(answers, "mail"), text_of(answers, "webhook")};
    if (who.name.empty()) return wrong("name", "who is called needs a name");
    if (who.phone.empty() && who.mail.empty() && who.webhook.empty())
      return wrong("phone", "at least one way outside the tenant is needed");
    if (!who.webhook.empty() && !who.webhook.starts_with("https://"))
      return wrong("webhook", "a webhook begins with https://");
    BAVN_TRY(const std::int64_t began, in.begin(id));
    if (const auto done = keep_duty_contact(scope, in.parts.runtime, in.parts.state, in.parts.municipality, who);
        !done) {
      in.end(id, "failed", to_string(done.error()), began);
      return done;
    }
    const auto told = in.parts.night != nullptr ? in.parts.night->test_now() : Result<std::size_t>(0);
    const std::size_t sent = told.value_or(0);
    if (!told || sent == 0)
      in.end(id, "attention",
             fmt::format("{} is written down; no test message could be sent{}: call once yourself", who.name,
                         told ? "" : " (" + told.error().what + ")"),
             began);
    else
      in.end(id, "done",
             fmt::format("{} is written down; {} test messages are on their way, and count when they are answered",
                         who.name, sent),
             began);
    return audited("duty_contact");
  }
  if (in.parts.beacon == nullptr) return fail(Code::conflict, "this node does not know its hub");
  BAVN_TRY(const std::int64_t began, in.begin(id));
  in.change(id, [](SetupStep& s, SetupView&) { s.says = "the CERT lights it now: bavn hub test-beacon"; });
  in.work(Duration{0}, [&in, began] { in.beacon_seen(began); });
  return audited("beacon");
}

}  // namespace bavn::app
