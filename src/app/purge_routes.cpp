#include "app/purge_routes.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "app/answers.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/folder.hpp"
#include "base/json_writer.hpp"
#include "base/time.hpp"
#include "input/sources/microsoft365/consent.hpp"
#include "net/json_value.hpp"
#include "net/json_views.hpp"
#include "store/state_file.hpp"

namespace bavn::app {

namespace {

using net::Needs;

struct CaseView {
  act::PurgeCase summary;
  std::vector<act::PurgeRound> rounds;
  std::vector<act::PurgeCopy> copies;
  std::vector<std::string> proofs;
};
BOOST_DESCRIBE_STRUCT(CaseView, (), (summary, rounds, copies, proofs))

struct AnswerBody {
  std::optional<std::string> code, who;
};
BOOST_DESCRIBE_STRUCT(AnswerBody, (), (code, who))

template <class T>
net::Reply reply_of(const Result<T>& value) {
  return value ? net::json(net::to_json(*value)) : net::problem(value.error());
}

Result<CaseView> view_of(store::State& state, std::string_view notice) {
  return state.read([&](store::Reader& db) -> Result<CaseView> {
    CaseView v;
    BAVN_TRY(v.summary, act::Purge::find(db, notice));
    BAVN_TRY(v.rounds, act::Purge::rounds(db, notice));
    BAVN_TRY(v.copies, act::Purge::copies(db, notice));
    BAVN_TRY(v.proofs, act::Purge::proofs(db, notice));
    return v;
  });
}

/// What was decided, and how it stands now.
net::Reply after(store::State& state, const Result<void>& done, std::string_view notice) {
  if (!done) return net::problem(done.error());
  return reply_of(state.read([&](store::Reader& db) { return act::Purge::find(db, notice); }));
}

}  // namespace

void add_purge_routes(net::Router& control, store::State& state, act::Purge& purge) {
  control.get("/api/purge", Needs::alert_read, [&state](const net::Request&) {
    return reply_of(state.read([](store::Reader& db) { return act::Purge::cases(db); }));
  });
  control.get("/api/purge/{notice}", Needs::alert_read,
              [&state](const net::Request& q) { return reply_of(view_of(state, q.param("notice"))); });
  const auto answer = [&state, &purge](bool yes) {
    return [&state, &purge, yes](const net::Request& q) -> net::Reply {
      AnswerBody body;
      if (!q.body.empty()) {
        const auto read = net::from_json<AnswerBody>(q.body, net::Unknown::refuse);
        if (!read) return net::problem(read.error());
        body = *read;
      }
      const std::string notice(q.param("notice"));
      bool counted = false;
      const auto done = state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_TRY(counted, purge.answer(tx, notice, yes, body.who.value_or(q.scope.who()), body.code.value_or("")));
        return {};
      });
      if (done && !counted) return net::problem(Error{Code::forbidden, "the code is wrong", {}});
      return after(state, done, notice);
    };
  };
  control.post("/api/purge/{notice}/yes", Needs::operate, answer(true));
  control.post("/api/purge/{notice}/no", Needs::operate, answer(false));
  control.post("/api/purge/{notice}/undo", Needs::operate, [&state, &purge](const net::Request& q) {
    const std::string notice(q.param("notice"));
    return after(state, state.write_now([&](store::Tx& tx) { return purge.undo(tx, notice, q.scope.who()); }), notice);
  });
  control.post("/api/purge/{notice}/redo", Needs::operate, [&state, &purge](const net::Request& q) {
    const std::string notice(q.param("notice"));
    return after(state, state.write_now([&](store::Tx& tx) { return purge.redo(tx, notice, q.scope.who()); }), notice);
  });
}

namespace {

struct Asked {
  std::string data, notice, code, way = "mailbox", language = "da";
  bool json = false, copies = false, take_back = false;
};

struct TenantRow {
  std::string label, directory, client;
};
BOOST_DESCRIBE_STRUCT(TenantRow, (), (label, directory, client))

void print_case(net::JsonValue c) {
  fmt::print(
      "{}  {}  {} of {} mails found here, {} copies in {} mailboxes: {} moved, {} to do, {} gone, {} left alone, {} "
      "failed, {} back{}\n",
      c["notice"].text_or(""), c["state"].text_or(""), n(c["located"]), n(c["message_ids"]), n(c["copies"]),
      n(c["mailboxes"]), n(c["moved"]), n(c["found"]), n(c["gone"]), n(c["left_alone"]), n(c["failed"]), n(c["back"]),
      n(c["lost"]) > 0 ? fmt::format(", {} lost", n(c["lost"])) : "");
  fmt::print("    from {}; {}\n", c["sender"].text_or(""), c["why"].text_or(""));
  if (!c["paused"].text_or("").empty()) fmt::print("    {}\n", c["paused"].text_or(""));
}

int list(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/purge"), a.json, [](net::JsonValue v) {
    if (v.size() == 0) fmt::print("no sender notice has come to this node\n");
    for (const net::JsonValue c : v) print_case(c);
  });
}

int show(const Asked& a) {
  return said(call_control(Folder(a.data), net::Method::get, "/api/purge/" + net::percent_encoded(a.notice)), a.json,
              [&a](net::JsonValue v) {
                const auto c = v["summary"];
                print_case(c);
                fmt::print("    mail of {} to {}; came {}; first moved {}; emptied {}; counted again until {}\n",
                           when(c["from_us"]), when(c["to_us"]), when(c["opened_us"]), when(c["first_moved_us"]),
                           when(c["emptied_us"]), when(c["watch_until_us"]));
                fmt::print("    signs: {}; approved by: {}; way: {}; {} in the trace from elsewhere, not touched\n",
                           c["signs"].text_or("").empty() ? "none" : c["signs"].text_or(""),
                           c["approved_by"].text_or("").empty() ? "-" : c["approved_by"].text_or(""),
                           c["way"].text_or(""), n(c["refused"]));
                for (const net::JsonValue r : v["rounds"])
                  fmt::print("    round {} ({}) {}: searched {}, there {}, moved {}, failed {}\n", n(r["nr"]),
                             r["what"].text_or(""), when(r["started_us"]), n(r["searched"]), n(r["present"]),
                             n(r["moved"]), n(r["failed"]));
                for (const net::JsonValue copy : v["copies"]) {
                  const auto reason = copy["reason"].text_or("");
                  if (a.copies || !reason.empty())
                    fmt::print("    {} {}  {}{}{}\n", copy["mailbox"].text_or(""), copy["message_id"].text_or(""),
                               copy["state"].text_or(""), reason.empty() ? "" : ": ", reason);
                }
                fmt::print("    {} proofs (--json has them)\n", v["proofs"].size());
              });
}

int decide(const Asked& a, std::string_view what) {
  std::string body;
  if (!a.code.empty()) JsonWriter(body).object().member("code", a.code).end();
  return said(call_control(Folder(a.data), net::Method::post,
                           fmt::format("/api/purge/{}/{}", net::percent_encoded(a.notice), what), body),
              a.json, print_case);
}

/// The script that lets the node move mail; it does nothing by itself.
int permission(const Asked& a) {
  auto file = store::StateFile::open(Folder(a.data).at("state.db"));
  if (!file) return failed(file.error());
  const auto tenants = file->read([](store::Reader& db) {
    return db.all<TenantRow>("SELECT label, directory, client FROM m365_account ORDER BY label");
  });
  if (!tenants) return failed(tenants.error());
  if (tenants->empty())
    return failed(Error{Code::not_found, "no Microsoft 365 tenant is connected to this node: bavn node setup", a.data});
  for (const auto& t : *tenants) {
    const auto script = input::microsoft365::purge_script(
        t.directory, t.client, "of this municipality",
        a.way == "defender" ? "SecurityAnalyzedMessage.ReadWrite.All" : "Mail.ReadWrite", a.take_back, a.language);
    if (!script) return failed(script.error());
    fmt::print("{}", *script);
  }
  return kDone;
}

}  // namespace

void add_purge_commands(CLI::App& app, int& rc) {
  auto a = std::make_shared<Asked>();
  auto* purge =
      app.add_subcommand("purge", "Mails of a sender notice, out of this municipality's mailboxes (docs/purge.md)");
  purge->require_subcommand(1);
  purge->footer("Example: bavn purge show sn-20241008-1 --data /var/lib/bavn");
  const auto leaf = [&](const char* name, const char* help, std::function<int(const Asked&)> run, bool named = true) {
    auto* sub = purge->add_subcommand(name, help);
    if (named) sub->add_option("notice", a->notice, "The notice's id, as bavn purge list says it")->required();
    sub->add_option("--data", a->data, "The node's data folder")->required();
    sub->add_flag("--json", a->json, "JSON on stdout");
    sub->callback([a, &rc, run] { rc = run(*a); });
    return sub;
  };
  leaf("list", "Every notice, with what was found, moved and left", list, false);
  leaf("show", "One notice: rounds, counts, and each copy that has a reason", show)
      ->add_flag("--copies", a->copies, "Every copy");
  leaf("undo", "Put back where it was what Bavn moved", [](const Asked& x) { return decide(x, "undo"); });
  leaf("redo", "Move it again, within the mandate", [](const Asked& x) { return decide(x, "redo"); });
  auto* grant = leaf("permission", "Print the script that lets this node move mail, to be read and run in the tenant",
                     permission, false);
  grant->add_option("--way", a->way, "mailbox or defender (where licensed)")
      ->check(CLI::IsMember({"mailbox", "defender"}));
  grant->add_option("--language", a->language, "da, nb or en");
  grant->add_flag("--take-back", a->take_back, "The script that takes only this right back");
  leaf("yes", "Empty the mailboxes, within the mandate", [](const Asked& x) {
    return decide(x, "yes");
  })->add_option("--code", a->code, "Of the question, when you answer for the duty contact");
  leaf("no", "Do not; what runs stops", [](const Asked& x) {
    return decide(x, "no");
  })->add_option("--code", a->code, "Of the question, when you answer for the duty contact");
}

}  // namespace bavn::app
