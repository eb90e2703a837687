// bavn campaigns: what the hub sees together, asked of the running hub.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "app/answers.hpp"
#include "app/campaigns.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "app/process.hpp"
#include "base/json_writer.hpp"
#include "base/time.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

namespace {

struct Asked {
  std::string data, id, state, why, trigger, mode, municipality, language = "da", cert, phone, mail;
  bool json = false, not_real = false, name_sender = false;
};

void print_campaign(net::JsonValue c) {
  const net::JsonValue counts = c["counts"];
  fmt::print("{:>5}  {:<10} {:<8}  {:>3} municipalities {:>6} mails {:>4} clicks  since {}  {}{}\n",
             c["id"].text_or(""), c["state"].text_or(""), c["severity"].text_or(""), n(counts["municipalities"]),
             n(counts["mails"]), n(counts["clicks"]), when(c["first_mail_at"]), c["cause"].text_or(""),
             c["lit_by"].text_or("").empty() ? "" : fmt::format(", lit by {}", c["lit_by"].text_or("")));
}

int list(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get,
                           a.state.empty() ? "/api/campaigns?limit=200" : "/api/campaigns?limit=200&state=" + a.state),
              a.json, [](net::JsonValue v) {
                for (const net::JsonValue c : v["items"]) print_campaign(c);
              });
}

std::string_view town(net::JsonValue v) {
  return v["name"].text_or(v["code"].text_or("?"));
}
std::string minutes(net::JsonValue v) {
  const auto m = v.number();
  return m ? fmt::format("{:.1f}", *m) : "-";
}

int show(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/campaigns/" + a.id), a.json, [](net::JsonValue f) {
    print_campaign(f);
    for (const net::JsonValue s : f["senders"])
      fmt::print("  from {:<40} {:>6} mails since {}{}\n", s["address"].text_or(""), n(s["mails"]), when(s["first_at"]),
                 s["takeover"].boolean().value_or(false) ? "  (its account looks taken)" : "");
    for (const net::JsonValue e : f["arrows"])
      fmt::print("  {} -> {:<20} {:>6} mails since {}\n", town(e["from"]), e["to"] ? town(e["to"]) : "outside",
                 n(e["mails"]), when(e["first_at"]));
    for (const net::JsonValue s : f["signs"])
      fmt::print("  sign {}/{} {} x{} {}\n", s["group"].text_or(""), s["kind"].text_or(""), when(s["at"]),
                 n(s["count"]), s["detail"].text_or(""));
    for (const net::JsonValue o : f["observables"])
      fmt::print("  {} {}\n", o["kind"].text_or(""), o["defanged"].text_or(""));
    for (const net::JsonValue v : f["victims"]) fmt::print("  {}: {}\n", v["kind"].text_or(""), n(v["count"]));
    const net::JsonValue m = f["minutes"];
    fmt::print("  minutes from its first mail: noticed {}, known here {}, warned {}, emptied {}\n",
               minutes(m["to_notice"]), minutes(m["to_hub"]), minutes(m["to_warning"]), minutes(m["to_emptied"]));
  });
}

int noticing(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/brakes"), a.json, [](net::JsonValue v) {
    const net::JsonValue f = v["false_warnings_90"];
    fmt::print("false warnings in {:.0f} days: {} of {}; at most {:.2f} a month (95 %)\n",
               f["days"].number().value_or(0), n(f["not_real"]), n(f["lit"]), f["at_most"].number().value_or(0));
    for (const net::JsonValue t : v["triggers"])
      fmt::print("{:<14} {:<8} opened {}, suspicions {}, lit {} ({} real, {} false)  {}\n", t["name"].text_or(""),
                 t["mode"].text_or(""), n(t["opened"]), n(t["suspicions"]), n(t["lit"]), n(t["real"]), n(t["not_real"]),
                 t["why"].text_or(""));
    for (const net::JsonValue c : v["candidates"])
      fmt::print("candidates by {:<14} {:>6}, {} still open\n", c["cause"].text_or(""), n(c["opened"]), n(c["open"]));
    fmt::print("suspicions open {}, waiting for the next shift {}\n", n(v["shift"]["suspicions"]),
               n(v["shift"]["waiting"]));
    for (const net::JsonValue r : v["refused"])
      fmt::print("refused from {}: {} {} x{} ({})\n", town(r["municipality"]), r["kind"].text_or(""),
                 r["reason"].text_or(""), n(r["count"]), r["example"].text_or(""));
  });
}

int letters(const Asked& a) {
  const auto query = fmt::format("/api/campaigns/{}/letters?language={}&cert={}&phone={}&mail={}&name_sender={}", a.id,
                                 a.language, net::percent_encoded(a.cert), net::percent_encoded(a.phone),
                                 net::percent_encoded(a.mail), a.name_sender ? "true" : "false");
  return said(call_control(Folder(a.data), net::Method::get, query), a.json, [](net::JsonValue v) {
    for (const net::JsonValue l : v["items"])
      fmt::print("--- {} ({})\n{}\n\n{}\n\n", l["domain"].text_or(""), l["kind"].text_or(""), l["subject"].text_or(""),
                 l["body"].text_or(""));
  });
}

int post(const Asked& a, const std::string& path, const std::string& body) {
  return said(call_control(Folder(a.data), net::Method::post, path, body), a.json,
              [](net::JsonValue) { fmt::print("done\n"); });
}

std::string body_of(const std::function<void(JsonWriter&)>& fill) {
  std::string out;
  JsonWriter w(out);
  w.object();
  fill(w);
  w.end();
  return out;
}

}  // namespace

void add_campaign_commands(CLI::App& app, int& rc) {
  auto a = std::make_shared<Asked>();
  auto* campaigns = app.add_subcommand("campaigns", "What the hub sees together: waves of mail over municipalities");
  campaigns->require_subcommand(1);
  campaigns->footer("Example: bavn campaigns list --data /var/lib/bavn-hub");
  const auto leaf = [&](const char* name, const char* help, std::function<int(const Asked&)> run) {
    auto* sub = campaigns->add_subcommand(name, help);
    sub->add_option("--data", a->data, "The hub's data folder")->required();
    sub->add_flag("--json", a->json, "JSON on stdout");
    sub->callback([a, &rc, run] { rc = run(*a); });
    return sub;
  };
  const auto named = [&](CLI::App* sub) { sub->add_option("campaign", a->id, "Its number")->required(); };
  leaf("list", "List them, newest first", list)
      ->add_option("--state", a->state, "candidate, waiting, suspicion, lit, over, false");
  named(leaf("show", "Who sent it to whom, signs, what to look for", show));
  leaf("noticing", "How often warnings were false, which triggers are live, what was refused", noticing);
  auto* judge = leaf("judge", "Say whether it was an attack; a false one is withdrawn everywhere", [](const Asked& x) {
    return post(x, "/api/campaigns/" + x.id + "/judge",
                body_of([&](JsonWriter& w) { w.member("real", !x.not_real).member("why", x.why); }));
  });
  named(judge);
  judge->add_flag("--false", a->not_real, "It was no attack");
  judge->add_option("--why", a->why, "For the record")->required();
  named(leaf("confirm", "Light the warning now",
             [](const Asked& x) { return post(x, "/api/campaigns/" + x.id + "/confirm", "{}"); }));
  named(leaf("close", "It is over", [](const Asked& x) { return post(x, "/api/campaigns/" + x.id + "/close", "{}"); }));
  auto* l = leaf("letters", "Letters to recipients outside the community", letters);
  named(l);
  l->add_option("--language", a->language, "da, nb or en");
  l->add_option("--cert", a->cert, "Who writes")->required();
  l->add_option("--phone", a->phone, "How to reach them");
  l->add_option("--mail", a->mail, "How to reach them");
  l->add_flag("--name-sender", a->name_sender, "Name the sending domain (agreed with it)");
  named(leaf("outside", "Recipients outside the community, as a list", [](const Asked& x) {
    return said(call_control(Folder(x.data), net::Method::get, "/api/campaigns/" + x.id + "/outside"), x.json,
                [](net::JsonValue v) {
                  fmt::print("domain,kind,first_seen\n");
                  for (const net::JsonValue o : v["items"])
                    fmt::print("{},{},{}\n", o["domain"].text_or(""), o["kind"].text_or(""), o["first_at"].text_or(""));
                });
  }));
  auto* mode = leaf("trigger", "Set how a trigger may light a warning", [](const Asked& x) {
    return post(x, "/api/brakes/" + x.trigger,
                body_of([&](JsonWriter& w) { w.member("mode", x.mode).member("why", x.why); }));
  });
  mode->add_option("trigger", a->trigger, "sender_notice or burst")->required();
  mode->add_option("mode", a->mode, "shadow, live or confirm")->required();
  mode->add_option("--why", a->why, "For the record")->required();
  auto* trust = leaf("trust", "Believe a municipality's notices again after a false one", [](const Asked& x) {
    return post(x, "/api/municipalities/" + net::percent_encoded(x.municipality) + "/trust",
                body_of([&](JsonWriter& w) { w.member("why", x.why); }));
  });
  trust->add_option("municipality", a->municipality, "Its code")->required();
  trust->add_option("--why", a->why, "For the record")->required();
}

}  // namespace bavn::app
