#include <algorithm>
#include <cstring>

#include "notice/fact_reader.hpp"

namespace bavn::notice {

namespace {

using event::FactJoin;
using event::MailFact;

constexpr std::string_view kMagic = "BVFJOIN1";
constexpr std::size_t kToldRecipients = 500, kToldUrls = 50, kMostText = 1U << 20U;

/// Members of a mail that other records of it lack.
struct Told {
  Instant first;
  std::uint64_t number = 0;  // of its coming: what ended and came again is another
  bool said_sender = false;
  std::string sender, message_id, subject;
  std::vector<std::string> recipients, urls;
};
struct Seen {
  Instant first, last;
  std::uint64_t number = 0;
  std::string url, sender, message_id;
};

void add_once(std::vector<std::string>& to, const std::vector<std::string>& from, std::size_t most) {
  for (const std::string& v : from)
    if (to.size() < most && std::find(to.begin(), to.end(), v) == to.end()) to.push_back(v);
}

void put(std::string& out, std::uint64_t n) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>((n >> (8 * i)) & 0xFFU));
}
void put(std::string& out, Instant t) {
  put(out, static_cast<std::uint64_t>(micros(t)));
}
void put(std::string& out, std::string_view s) {
  put(out, std::uint64_t{s.size()});
  out += s;
}
void put(std::string& out, const std::vector<std::string>& list) {
  put(out, std::uint64_t{list.size()});
  for (const std::string& s : list) put(out, std::string_view(s));
}

/// Saved bytes may be damaged: every length is checked, and what is missing fails the whole.
struct Bytes {
  std::string_view rest;
  bool good = true;
  std::uint64_t number() {
    if (rest.size() < 8) {
      good = false;
      return 0;
    }
    std::uint64_t n = 0;
    for (int i = 7; i >= 0; --i) n = (n << 8U) | static_cast<unsigned char>(rest[static_cast<std::size_t>(i)]);
    rest.remove_prefix(8);
    return n;
  }
  Instant time() { return from_micros(static_cast<std::int64_t>(number())); }
  std::string text() {
    const std::uint64_t n = number();
    if (!good || n > kMostText || n > rest.size()) {
      good = false;
      return {};
    }
    std::string out(rest.substr(0, n));
    rest.remove_prefix(n);
    return out;
  }
  std::vector<std::string> list(std::size_t most) {
    std::vector<std::string> out;
    const std::uint64_t n = number();
    good = good && n <= most;
    for (std::uint64_t i = 0; good && i < n; ++i) out.push_back(text());
    return out;
  }
};

/// A table with a limit: what came first goes first, and whatever is older than it may be.
template <class V>
struct Aging {
  struct Turn {
    std::uint64_t key = 0;
    Instant since;
    std::uint64_t number = 0;
  };
  std::unordered_map<std::uint64_t, V> of;
  std::deque<Turn> order;  // by when they came; may name what is gone
  std::uint64_t come = 0;

  V* find(std::uint64_t key) {
    const auto at = of.find(key);
    return at == of.end() ? nullptr : &at->second;
  }
  V& add(std::uint64_t key, Instant now) {
    const auto [at, fresh] = of.try_emplace(key);
    if (fresh) {
      at->second.first = now;
      at->second.number = ++come;
      order.push_back({key, now, come});
    }
    return at->second;
  }
  bool there(const Turn& turn) const {
    const auto at = of.find(turn.key);
    return at != of.end() && at->second.number == turn.number;
  }
  /// As it was saved: in turn. False: it is there already.
  bool restore(std::uint64_t key, Instant since, V value) {
    value.number = ++come;
    order.push_back({key, since, come});
    return of.emplace(key, std::move(value)).second;
  }
};

}  // namespace

struct FactJoiner::Inner {
  JoinLimits limits;
  Aging<Told> mails;
  Aging<Seen> urls;
  Stats stats;

  void fill(FactItem& item, Instant now, std::vector<event::Fact>& out);
  void remember(std::uint64_t key, const MailFact& m, bool said_sender, Instant now) {
    Told& t = mails.add(key, now);
    if (said_sender) {
      t.said_sender = true;
      t.sender = m.sender;
    }
    if (!m.message_id.empty()) t.message_id = m.message_id;
    if (!m.subject.empty()) t.subject = m.subject;
    add_once(t.recipients, m.recipients, kToldRecipients);
    add_once(t.urls, m.urls, kToldUrls);
  }

  void clicks(const ReadFacts& read, Instant received, std::vector<event::Fact>& out) {
    for (const ProxyRequest& q : read.requests) {
      const Seen* s = urls.find(q.url);
      if (s == nullptr && q.page != q.url) s = urls.find(q.page);
      if (s == nullptr || received - s->first > limits.click_for) continue;
      event::HarmFact h;
      h.head = read.head;
      h.head.happened = q.happened_us != 0 ? from_micros(q.happened_us) : received;
      h.harm = event::Harm::click;
      h.account = read.text.substr(q.account, q.account_length);
      h.sender = s->sender;
      h.message_id = s->message_id;
      h.url = s->url;
      out.emplace_back(std::move(h));
    }
  }

  void in_mail(const MailFact& m, Instant now) {
    const auto note = [&](std::string_view url, std::uint64_t key) {
      Seen& s = urls.add(key, now);
      s.last = now;
      if (!s.url.empty()) return;
      s.url = url;
      s.sender = m.sender;
      s.message_id = m.message_id;
    };
    for (const std::string& url : m.urls) {
      note(url, hash64(url));
      if (const std::string_view page = page_of(url); page != url) note(url, hash64(page));
    }
  }

  void age(Instant now) {
    while (!mails.order.empty()) {
      const auto turn = mails.order.front();
      const bool there = mails.there(turn), young = turn.since + limits.mail_for >= now;
      if (there && young && mails.of.size() <= limits.mails) break;
      if (there) {
        if (young) ++stats.forgotten;
        mails.of.erase(turn.key);
      }
      mails.order.pop_front();
    }
    if (mails.order.size() > 2 * mails.of.size() + 1024)
      std::erase_if(mails.order, [&](const auto& turn) { return !mails.there(turn); });
    // A URL that mail still holds stays: that it was first seen long ago is what tells a footer from an attack.
    for (std::size_t n = urls.order.size(); n > 0 && !urls.order.empty(); --n) {
      const auto turn = urls.order.front();
      const bool over = urls.of.size() > limits.urls;
      if (!over && turn.since + limits.url_for >= now) break;
      urls.order.pop_front();
      const Seen* s = urls.find(turn.key);
      if (!over && s->last + limits.url_for >= now) urls.order.push_back({turn.key, s->last, turn.number});
      else urls.of.erase(turn.key);
    }
  }
};

/// A fact with what other records of its mail said. A mail whose sender nobody told is none: its log began in the middle.
void FactJoiner::Inner::fill(FactItem& item, Instant now, std::vector<event::Fact>& out) {
  const Told* t = mails.find(item.key);
  if (auto* h = std::get_if<event::HarmFact>(&item.fact)) {
    if (t != nullptr) {
      if (h->sender.empty()) h->sender = t->sender;
      if (h->message_id.empty()) h->message_id = t->message_id;
    }
    if (!h->account.empty() || !h->sender.empty() || !h->message_id.empty()) out.push_back(std::move(item.fact));
    return;
  }
  auto& m = std::get<MailFact>(item.fact);
  if (!item.said_sender) {
    if (t == nullptr || !t->said_sender) {
      if (m.urls.empty()) ++stats.without_sender;
      else remember(item.key, m, false, now);  // its mail may be told later
      return;
    }
    m.sender = t->sender;
  }
  if (t != nullptr) {
    if (m.message_id.empty()) m.message_id = t->message_id;
    if (m.subject.empty()) m.subject = t->subject;
    if (m.recipients.empty()) m.recipients = t->recipients;
  }
  if (!m.urls.empty()) remember(item.key, m, item.said_sender, now);
  if (!m.recipients.empty()) out.push_back(std::move(item.fact));
}

FactJoiner::FactJoiner(JoinLimits limits) : inner_(std::make_unique<Inner>()) {
  inner_->limits = limits;
}
FactJoiner::~FactJoiner() = default;

void FactJoiner::feed(ReadFacts&& read, Instant received, std::vector<event::Fact>& out) {
  Inner& in = *inner_;
  const std::size_t before = out.size();
  const auto told_at = [received](event::FactHead& head) {
    head.received = received;
    if (head.happened == Instant{}) head.happened = received;
  };
  told_at(read.head);
  for (FactItem& item : read.items) std::visit([&](auto& f) { told_at(f.head); }, item.fact);
  for (FactItem& item : read.items) switch (item.join) {
      case FactJoin::none: out.push_back(std::move(item.fact)); break;
      case FactJoin::adds:
        if (const auto* m = std::get_if<MailFact>(&item.fact)) in.remember(item.key, *m, item.said_sender, received);
        break;
      case FactJoin::tells:
        if (auto* m = std::get_if<MailFact>(&item.fact)) {
          in.remember(item.key, *m, item.said_sender, received);
          add_once(m->urls, in.mails.find(item.key)->urls, kToldUrls);
        }
        out.push_back(std::move(item.fact));
        break;
      case FactJoin::fills: in.fill(item, received, out); break;
      case FactJoin::ends: in.mails.of.erase(item.key); break;
    }
  in.clicks(read, received, out);
  for (std::size_t i = before; i < out.size(); ++i)
    if (const auto* m = std::get_if<MailFact>(&out[i])) in.in_mail(*m, received);
  in.age(received);
  in.stats.facts += out.size() - before;
}

FactJoiner::Stats FactJoiner::stats() const {
  Stats s = inner_->stats;
  s.mails = inner_->mails.of.size();
  s.urls = inner_->urls.of.size();
  return s;
}

void FactJoiner::save(std::string& into) const {
  const Inner& in = *inner_;
  into += kMagic;
  // In the order they came, each once: the same state saves as the same bytes.
  std::string body;
  std::uint64_t n = 0;
  for (const auto& turn : in.mails.order) {
    if (!in.mails.there(turn)) continue;
    const Told& t = in.mails.of.at(turn.key);
    put(body, turn.key);
    put(body, t.first);
    put(body, std::uint64_t{t.said_sender});
    for (const std::string* text : {&t.sender, &t.message_id, &t.subject}) put(body, std::string_view(*text));
    put(body, t.recipients);
    put(body, t.urls);
    ++n;
  }
  put(into, n);
  into += body;
  put(into, std::uint64_t{in.urls.order.size()});
  for (const auto& turn : in.urls.order) {
    const Seen& s = in.urls.of.at(turn.key);
    put(into, turn.key);
    put(into, turn.since);
    put(into, s.first);
    put(into, s.last);
    for (const std::string* text : {&s.url, &s.sender, &s.message_id}) put(into, std::string_view(*text));
  }
}

Result<void> FactJoiner::load(std::string_view saved) {
  auto fresh = std::make_unique<Inner>();
  fresh->limits = inner_->limits;
  const auto bad = [] {
    return fail(Code::corrupt, "the saved joins of mail records are damaged; they are made again");
  };
  if (!saved.starts_with(kMagic)) return bad();
  Bytes b{saved.substr(kMagic.size())};
  for (std::uint64_t n = b.number(); b.good && n > 0; --n) {
    const std::uint64_t key = b.number();
    Told t;
    t.first = b.time();
    const std::uint64_t said = b.number();
    b.good = b.good && said <= 1;
    t.said_sender = said != 0;
    for (std::string* text : {&t.sender, &t.message_id, &t.subject}) *text = b.text();
    t.recipients = b.list(kToldRecipients);
    t.urls = b.list(kToldUrls);
    const Instant first = t.first;
    if (!b.good || !fresh->mails.restore(key, first, std::move(t))) return bad();
  }
  for (std::uint64_t n = b.number(); b.good && n > 0; --n) {
    const std::uint64_t key = b.number();
    const Instant at = b.time();
    Seen s;
    s.first = b.time();
    s.last = b.time();
    for (std::string* text : {&s.url, &s.sender, &s.message_id}) *text = b.text();
    if (!b.good || !fresh->urls.restore(key, at, std::move(s))) return bad();
  }
  if (!b.good || !b.rest.empty()) return bad();
  inner_ = std::move(fresh);
  return {};
}

}  // namespace bavn::notice
