#include "notice/fact_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/text.hpp"
#include "event/observable.hpp"

namespace bavn::notice {

using event::FactJoin;
using event::FactKind;
using event::FactMap;
using event::FactMember;
using event::FactTake;
using event::Field;
using event::Kind;

namespace {

constexpr std::uint16_t kUnwanted = 0xFFFF;
constexpr std::size_t kAddress = 320;  // RFC 5321: 64 + 1 + 255
constexpr std::size_t kText = 500;
constexpr std::size_t kDetail = 200;
constexpr std::size_t kRecipients = 1000;  // Microsoft's audit log lists as many
constexpr std::size_t kUrls = 100, kAttachments = 50;

/// Cut at the start of a character.
std::string_view cut(std::string_view s, std::size_t most) {
  if (s.size() <= most) return s;
  while (most > 0 && (static_cast<unsigned char>(s[most]) & 0xC0U) == 0x80U) --most;
  return s.substr(0, most);
}

/// Ways of logs to say nothing.
bool says_nothing(std::string_view v) {
  return v.empty() || v == "-" || v == "Not Available" || v == "(empty)";
}

/// How names of operations are compared: the audit log ends those of the directory with a full stop, some with a blank before it.
void operation_into(std::string_view s, std::string& out) {
  s = trim(s);
  if (s.ends_with('.')) s = trim(s.substr(0, s.size() - 1));
  out.assign(s);
  for (char& c : out) c = ascii_lower(c);
}

/// The directory log writes new values as JSON: "\"11112222-..\"", "[\"..\"]".
std::string_view unquoted(std::string_view s) {
  const std::size_t from = s.find_first_not_of("[\" ");
  if (from == std::string_view::npos) return {};
  return s.substr(from, s.find_last_not_of("]\" ") - from + 1);
}

/// Names of files that can run, or that hold something that can: what phishing is attached as.
bool is_active(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || name.size() - dot > 12) return false;
  static constexpr std::array<std::string_view, 48> kActive = {
      "htm", "html", "xhtml", "shtml", "mht",  "mhtml", "svg",  "svgz", "zip", "7z",  "rar", "tar",
      "gz",  "ace",  "cab",   "iso",   "img",  "vhd",   "vhdx", "exe",  "scr", "com", "pif", "msi",
      "bat", "cmd",  "ps1",   "vbs",   "vbe",  "js",    "jse",  "wsf",  "hta", "lnk", "url", "jar",
      "chm", "one",  "docm",  "dotm",  "xlsm", "xlsb",  "xlam", "pptm", "xll", "rtf", "eml", "msg"};
  const std::string extension = to_lower(name.substr(dot + 1));
  return std::find(kActive.begin(), kActive.end(), extension) != kActive.end();
}

}  // namespace

// ---- plan --------------------------------------------------------------------------------------------------------------------

struct FactPlan::Format {
  struct Condition {
    std::uint16_t want = kUnwanted;
    bool any = false;                 // any value that is not empty
    std::vector<std::string> values;  // lower case
  };
  struct Take {
    FactMember member = FactMember::account;
    FactTake::How how = FactTake::How::first;
    std::vector<std::uint16_t> wants;
    std::vector<std::string_view> names;  // of the fields, for texts
    const std::vector<std::pair<std::string, std::string>>* values = nullptr;
  };
  struct Map {
    const FactMap* of = nullptr;
    std::vector<Condition> when, unless, any;
    std::vector<Take> takes;
  };
  event::FactMaps maps;  // a copy: plans outlive what they were made from
  std::vector<Map> compiled;
  std::vector<std::uint8_t> all;
  event::Slot by = event::kNoSlot;
  std::unordered_map<std::string, std::vector<std::uint8_t>, StringHash, std::equal_to<>> by_value;
  std::vector<std::uint16_t> want_of;  // by slot
  std::uint16_t wants = 0;
};

FactPlan::FactPlan(const event::FieldPlan& plan, std::span<const event::FactMaps* const> formats) {
  for (const event::FactMaps* maps : formats) {
    formats_.push_back(nullptr);
    if (maps == nullptr || maps->empty()) continue;
    auto f = std::make_unique<Format>();
    f->maps = *maps;
    f->want_of.assign(plan.size(), kUnwanted);
    const auto want = [&](const std::string& name) -> std::uint16_t {
      const auto slot = plan.slot(name);
      if (!slot) return kUnwanted;
      std::uint16_t& w = f->want_of[*slot];
      if (w == kUnwanted) w = f->wants++;
      return w;
    };
    if (!f->maps.by.empty()) f->by = plan.slot(f->maps.by).value_or(event::kNoSlot);
    for (const FactMap& m : f->maps.maps) {
      Format::Map c;
      c.of = &m;
      for (const auto& [from, to] : {std::pair{&m.when, &c.when}, {&m.unless, &c.unless}})
        for (const auto& [field, values] : *from)
          to->push_back({want(field), std::find(values.begin(), values.end(), "*") != values.end(), values});
      for (const std::string& field : m.any) c.any.push_back({want(field), true, {}});
      for (const FactTake& t : m.take) {
        Format::Take take;
        take.member = t.member;
        take.how = t.how;
        take.values = &t.values;
        for (const std::string& name : t.fields)
          if (const auto w = want(name); w != kUnwanted) {
            take.wants.push_back(w);
            take.names.push_back(name);
          }
        c.takes.push_back(std::move(take));
      }
      const auto n = static_cast<std::uint8_t>(f->compiled.size());
      f->all.push_back(n);
      std::string key;
      for (const std::string& v : m.is) {
        operation_into(v, key);
        f->by_value[key].push_back(n);
      }
      f->compiled.push_back(std::move(c));
    }
    formats_.back() = std::move(f);
  }
}
FactPlan::~FactPlan() = default;

// ---- reader ------------------------------------------------------------------------------------------------------------------

/// The wanted fields of one record, found once.
struct FactReader::Scratch {
  std::vector<std::int32_t> head, next;  // by want: index of its first field; by field: the next of the same want
  std::vector<std::int32_t> tail;
  std::string text, canonical, key;
  event::Extractor extractor;
  const event::EventBatch* batch = nullptr;
  std::span<const Field> fields;

  void find(const FactPlan::Format& f, const event::EventBatch& b, const event::Record& r) {
    batch = &b;
    fields = b.fields_of(r);
    head.assign(f.wants, -1);
    tail.assign(f.wants, -1);
    if (next.size() < fields.size()) next.resize(fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const event::Slot slot = fields[i].slot;
      if (slot >= f.want_of.size()) continue;
      const std::uint16_t w = f.want_of[slot];
      if (w == kUnwanted) continue;
      const auto at = static_cast<std::int32_t>(i);
      next[i] = -1;
      if (head[w] < 0) head[w] = at;
      else next[static_cast<std::size_t>(tail[w])] = at;
      tail[w] = at;
    }
  }
  /// f(text) for the values of a want until it says stop (false). Nulls and what is nested are no values.
  template <class F>
  void each(std::uint16_t w, F&& f) {
    if (w == kUnwanted) return;
    for (std::int32_t i = head[w]; i >= 0; i = next[static_cast<std::size_t>(i)]) {
      const Field& field = fields[static_cast<std::size_t>(i)];
      if (field.kind() == event::ValueKind::null || field.kind() == event::ValueKind::nested) continue;
      if (!f(trim(batch->text(field, text)))) return;
    }
  }
  bool holds(const FactPlan::Format::Condition& c) {
    bool yes = false;
    each(c.want, [&](std::string_view v) {
      yes = c.any ? !says_nothing(v)
                  : std::any_of(c.values.begin(), c.values.end(), [&](const std::string& o) { return iequals(o, v); });
      return !yes;
    });
    return yes;
  }
  bool fits(const FactPlan::Format::Map& m) {
    for (const auto& c : m.when)
      if (!holds(c)) return false;
    for (const auto& c : m.unless)
      if (holds(c)) return false;
    return m.any.empty() || std::any_of(m.any.begin(), m.any.end(), [&](const auto& c) { return holds(c); });
  }
  /// The first value that is not empty, or what `values` makes of it.
  std::string_view first(const FactPlan::Format::Take& t) {
    if (t.how == FactTake::How::just) return t.values->front().first;
    std::string_view found;
    for (const std::uint16_t w : t.wants) {
      each(w, [&](std::string_view v) {
        if (says_nothing(v)) return true;
        if (t.how != FactTake::How::values) {
          found = v;
          return false;
        }
        for (const auto& [from, to] : *t.values)
          if (from == "*" || iequals(from, v)) {
            found = to;
            return false;
          }
        return true;
      });
      if (!found.empty()) break;
    }
    return found;
  }
  bool yes(const FactPlan::Format::Take& t) {
    if (t.how == FactTake::How::just) return iequals(t.values->front().first, "yes");
    bool found = false;
    for (const std::uint16_t w : t.wants)
      each(w, [&](std::string_view v) {
        for (const auto& [from, to] : *t.values)
          found = found || (t.how == FactTake::How::contains ? icontains(v, from) : iequals(from, v));
        return !found;
      });
    return found;
  }
  bool present(const FactPlan::Format::Take& t) const {
    return std::any_of(t.wants.begin(), t.wants.end(), [&](std::uint16_t w) { return head[w] >= 0; });
  }

  std::string canonical_of(Kind kind, std::string_view v, std::size_t most) {
    if (v.empty() || v.size() > most) return {};
    return event::canonical_into(kind, v, canonical) ? canonical : std::string();
  }
  std::string ip_of(std::string_view v) {
    std::string out;
    extractor.extract(event::Role::ip, v, [&](Kind, std::string_view ip) {
      if (out.empty()) out = ip;
    });
    return out;
  }
  template <class F>
  void addresses(const FactPlan::Format::Take& t, F&& add) {
    for (const std::uint16_t w : t.wants) {
      bool any = false;
      each(w, [&](std::string_view v) {
        extractor.extract(event::Role::emails, v, [&](Kind k, std::string_view a) {
          if (k != Kind::email || a.size() > kAddress) return;
          any = true;
          add(a);
        });
        return true;
      });
      if (any) return;
    }
  }
  template <class F>
  void urls(const FactPlan::Format::Take& t, F&& add) {
    for (const std::uint16_t w : t.wants)
      each(w, [&](std::string_view v) {
        extractor.extract(event::Role::url, v, [&](Kind k, std::string_view u) {
          if (k == Kind::url) add(u);
        });
        return true;
      });
  }
  /// "ForwardTo=x@y; Name=..": what a person should see of it.
  std::string detail(const FactPlan::Format::Take& t) {
    if (t.how != FactTake::How::all) return std::string(cut(first(t), kDetail));
    std::string out;
    for (std::size_t i = 0; i < t.wants.size(); ++i)
      each(t.wants[i], [&](std::string_view v) {
        if (says_nothing(v)) return true;
        const std::string one = std::string(t.names[i]) + "=" + std::string(cut(v, kDetail));
        if (out.find(one) != std::string::npos) return true;
        if (!out.empty()) out += "; ";
        out += one;
        return out.size() < kDetail;
      });
    return std::string(cut(out, kDetail));
  }
};

FactReader::FactReader(std::shared_ptr<const FactPlan> plan)
    : plan_(std::move(plan)), scratch_(std::make_unique<Scratch>()) {}
FactReader::~FactReader() = default;

namespace {

struct Reading {
  event::FactHead head;
  std::uint64_t key = 0;
  bool said_sender = false, has_key = false;
};

}  // namespace

bool FactReader::read(const event::EventBatch& batch, const event::Record& record, const event::FactHead& head,
                      ReadFacts& into) {
  if (!plan_->reads(record.format)) return false;
  const FactPlan::Format& f = *plan_->formats_[record.format];
  Scratch& s = *scratch_;
  const std::vector<std::uint8_t>* candidates = &f.all;
  if (!f.maps.by.empty()) {
    candidates = nullptr;
    for (const Field& field : batch.fields_of(record))
      if (field.slot == f.by) {
        operation_into(batch.text(field, s.text), s.key);
        const auto at = f.by_value.find(s.key);
        if (at == f.by_value.end()) continue;
        candidates = &at->second;
        break;
      }
    if (candidates == nullptr) return false;
  }
  s.find(f, batch, record);
  const FactPlan::Format::Map* map = nullptr;
  for (const std::uint8_t n : *candidates)
    if (s.fits(f.compiled[n])) {
      map = &f.compiled[n];
      break;
    }
  if (map == nullptr) return false;

  Reading r{.head = head};
  r.head.happened = from_micros(record.happened_us);
  r.head.source = map->of->source;
  const auto text = [&](const FactPlan::Format::Take& t) { return std::string(cut(s.first(t), kText)); };
  const auto app = [&](const FactPlan::Format::Take& t) { return to_lower(unquoted(cut(s.first(t), kText))); };
  const auto account = [&](const FactPlan::Format::Take& t) {
    return s.canonical_of(Kind::account, s.first(t), kAddress);
  };
  const auto key = [&](const FactPlan::Format::Take& t) {
    s.key.clear();
    for (const std::uint16_t w : t.wants) {
      bool one = false;
      s.each(w, [&](std::string_view v) {
        s.key.append(v).push_back('\0');
        one = !v.empty();
        return false;
      });
      r.has_key = r.has_key || one;
    }
    r.key = hash64(s.key, (static_cast<std::uint64_t>(head.municipality.value) << 32U) ^ head.tenant.value);
  };

  switch (map->of->kind) {
    case FactKind::request: {
      std::string who, host;
      ProxyRequest q;
      q.happened_us = micros(r.head.happened);
      const FactPlan::Format::Take* url = nullptr;
      for (const auto& t : map->takes) switch (t.member) {
          case FactMember::account: who = account(t); break;
          case FactMember::host: host = s.first(t); break;
          case FactMember::url: url = &t; break;
          default: break;
        }
      if (who.empty() || url == nullptr) return false;
      const auto take = [&](Kind k, std::string_view u) {
        if (k != Kind::url || q.url != 0) return;
        q.url = hash64(u);
        q.page = hash64(page_of(u));
      };
      if (!host.empty()) s.extractor.url_of(host, s.first(*url), take);
      else s.extractor.extract(event::Role::url, s.first(*url), take);
      if (q.url == 0) return false;
      q.account = static_cast<std::uint32_t>(into.text.size());
      q.account_length = static_cast<std::uint32_t>(who.size());
      into.text += who;
      into.head = r.head;
      into.requests.push_back(q);
      return true;
    }
    case FactKind::mail: {
      event::MailFact m;
      std::vector<std::string> hashes;
      for (const auto& t : map->takes) switch (t.member) {
          case FactMember::sender: {
            const std::string_view v = s.first(t);
            m.sender = s.canonical_of(Kind::email, v, kAddress);
            r.said_sender = !m.sender.empty() || v == "<>" || (v.empty() && s.present(t));
            break;
          }
          case FactMember::recipients:
            s.addresses(t, [&](std::string_view a) {
              if (m.recipients.size() < kRecipients &&
                  std::find(m.recipients.begin(), m.recipients.end(), a) == m.recipients.end())
                m.recipients.emplace_back(a);
            });
            break;
          case FactMember::message_id: m.message_id = s.canonical_of(Kind::message_id, s.first(t), kText); break;
          case FactMember::subject: m.subject = text(t); break;
          case FactMember::delivery:
            if (const auto d = event::parse_delivery(s.first(t))) m.delivery = *d;
            break;
          case FactMember::session: m.session = app(t); break;
          case FactMember::app: m.app = app(t); break;
          case FactMember::urls:
            s.urls(t, [&](std::string_view u) {
              if (m.urls.size() < kUrls) m.urls.emplace_back(u);
            });
            break;
          case FactMember::attachments:
            for (const std::uint16_t w : t.wants)
              s.each(w, [&](std::string_view v) {
                if (!v.empty() && m.attachments.size() < kAttachments)
                  m.attachments.push_back({std::string(cut(v, kText)), {}, is_active(v)});
                return true;
              });
            break;
          case FactMember::hashes:
            for (const std::uint16_t w : t.wants)
              s.each(w, [&](std::string_view v) {
                hashes.push_back(s.canonical_of(Kind::sha256, v, 64));
                return true;
              });
            break;
          case FactMember::signed_by: m.signed_by = s.canonical_of(Kind::domain, s.first(t), kAddress); break;
          case FactMember::list_id: m.list_id = text(t); break;
          case FactMember::failed_auth: m.failed_auth = s.yes(t); break;
          case FactMember::automatic: m.automatic = s.yes(t); break;
          case FactMember::calendar: m.calendar = s.yes(t); break;
          case FactMember::knows_content: m.knows_content = s.yes(t); break;
          case FactMember::key: key(t); break;
          default: break;
        }
      for (std::size_t i = 0; i < std::min(hashes.size(), m.attachments.size()); ++i)
        m.attachments[i].sha256 = std::move(hashes[i]);
      const FactJoin join = map->of->join;
      if (join != FactJoin::none && !r.has_key) return false;
      if ((join == FactJoin::none || join == FactJoin::tells) && !r.said_sender) return false;
      if (join == FactJoin::none && m.recipients.empty() && m.message_id.empty()) return false;
      m.head = r.head;
      into.items.push_back({std::move(m), join, r.said_sender, r.key});
      return true;
    }
    case FactKind::sign_in: {
      event::SignInFact x;
      for (const auto& t : map->takes) switch (t.member) {
          case FactMember::account: x.account = account(t); break;
          case FactMember::ip: x.ip = s.ip_of(s.first(t)); break;
          case FactMember::asn: x.asn = s.canonical_of(Kind::asn, s.first(t), 40); break;
          case FactMember::country:
            x.country = text(t);
            if (const auto comma = x.country.rfind(", "); comma != std::string::npos)  // "Oslo, Oslo, NO"
              x.country.erase(0, comma + 2);
            break;
          case FactMember::user_agent: x.user_agent = text(t); break;
          case FactMember::device: x.device = app(t); break;
          case FactMember::session: x.session = app(t); break;
          case FactMember::app: x.app = app(t); break;
          case FactMember::app_name: x.app_name = text(t); break;
          case FactMember::interactive: x.interactive = s.yes(t); break;
          case FactMember::success: x.success = s.yes(t); break;
          case FactMember::device_code: x.device_code = s.yes(t); break;
          case FactMember::risk: x.risk = app(t); break;
          default: break;
        }
      if (x.account.empty() && x.app.empty()) return false;
      x.head = r.head;
      into.items.push_back({std::move(x), FactJoin::none, false, 0});
      return true;
    }
    case FactKind::change: {
      event::ChangeFact c;
      c.change = map->of->change;
      for (const auto& t : map->takes) switch (t.member) {
          case FactMember::account: c.account = account(t); break;
          case FactMember::target: c.target = unquoted(cut(s.first(t), kText)); break;
          case FactMember::detail: c.detail = s.detail(t); break;
          case FactMember::ip: c.ip = s.ip_of(s.first(t)); break;
          case FactMember::session: c.session = app(t); break;
          case FactMember::app: c.app = app(t); break;
          default: break;
        }
      if (c.account.empty() && c.app.empty()) return false;
      c.head = r.head;
      into.items.push_back({std::move(c), FactJoin::none, false, 0});
      return true;
    }
    case FactKind::harm: {
      event::HarmFact h;
      h.harm = map->of->harm;
      for (const auto& t : map->takes) switch (t.member) {
          case FactMember::account: h.account = account(t); break;
          case FactMember::sender: h.sender = s.canonical_of(Kind::email, s.first(t), kAddress); break;
          case FactMember::message_id: h.message_id = s.canonical_of(Kind::message_id, s.first(t), kText); break;
          case FactMember::url:
            s.urls(t, [&](std::string_view u) {
              if (h.url.empty()) h.url = u;
            });
            break;
          case FactMember::detail: h.detail = s.detail(t); break;
          case FactMember::key: key(t); break;
          default: break;
        }
      const FactJoin join = map->of->join;
      if (h.account.empty() && h.sender.empty() && h.message_id.empty() && h.detail.empty() && !r.has_key) return false;
      h.head = r.head;
      into.items.push_back({std::move(h), r.has_key ? join : FactJoin::none, false, r.key});
      return true;
    }
  }
  return false;
}

}  // namespace bavn::notice
