#include "formats/binder.hpp"

#include <algorithm>

namespace bavn::formats {

namespace {

void add_prefixes(NameSet& set, std::string_view path) {
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1))
    set.emplace(path.substr(0, dot));
}

}  // namespace

NameSet dotted_prefixes(const event::FieldPlan& plan) {
  NameSet out;
  for (std::size_t i = 0; i < plan.size(); ++i) add_prefixes(out, plan.name(static_cast<event::Slot>(i)));
  return out;
}

Binder::Binder(const Description& d, const event::FieldPlan& plan, const NameSet& plan_prefixes,
               event::FieldPlan* learn)
    : d_(d), plan_(plan), plan_prefixes_(plan_prefixes), learn_(learn) {
  for (const auto& root : d.roots) {
    add_prefixes(prefixes_, root);
    prefixes_.insert(root);
  }
  for (const auto& [name, paths] : d.fields)
    for (const auto& p : paths) {
      aliases_[p].push_back(name);
      add_prefixes(prefixes_, p);
    }
  for (const auto& [name, role] : d.observables) {
    roles_[name] = role;
    add_prefixes(prefixes_, name);
  }
  for (std::size_t i = 0; i < d.time.size() && i < 100; ++i) {
    times_.try_emplace(d.time[i], static_cast<std::int8_t>(i));
    add_prefixes(prefixes_, d.time[i]);
  }
  for (const auto& r : d.recognise) {
    for (const auto& k : r.keys) add_prefixes(prefixes_, k);
    for (const auto& [k, v] : r.values) add_prefixes(prefixes_, k);
  }
  for (const auto& l : d.logsource)
    for (const auto& [name, values] : l.when) {
      routes_.insert(name);
      add_prefixes(prefixes_, name);
    }
  for (const auto& u : d.unwrap) add_prefixes(prefixes_, u);
  add_prefixes(prefixes_, d.text);
  for (const auto& p : d.pairs) {
    add_prefixes(prefixes_, p.path);
    prefixes_.insert(p.path);
  }
}

void Binder::names_of(std::string_view path, std::vector<std::string_view>& out) const {
  out.push_back(path);
  for (const auto& root : d_.roots)
    if (path.size() > root.size() + 1 && path.starts_with(root) && path[root.size()] == '.')
      out.push_back(path.substr(root.size() + 1));
  const std::size_t direct = out.size();
  for (std::size_t i = 0; i < direct; ++i)
    if (auto it = aliases_.find(out[i]); it != aliases_.end())
      for (const auto& name : it->second)
        if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
}

Binding Binder::resolve(std::string_view path) const {
  Binding b;
  std::vector<std::string_view> names;
  names_of(path, names);
  if (learn_ != nullptr)
    for (std::string_view n : names) learn_->add(n);
  for (std::string_view n : names) {
    // In the order of names: the path's own name comes first and carries the role, whatever else the plan holds.
    if (auto slot = plan_.slot(n); slot && std::find(b.slots.begin(), b.slots.end(), *slot) == b.slots.end())
      b.slots.push_back(*slot);
    if (auto it = roles_.find(n); it != roles_.end() && b.role == event::Role::none) b.role = it->second;
    if (auto it = times_.find(n); it != times_.end() && (b.time_rank < 0 || it->second < b.time_rank))
      b.time_rank = it->second;
    if (routes_.contains(n)) b.route = true;
    if (std::find(d_.unwrap.begin(), d_.unwrap.end(), n) != d_.unwrap.end()) b.unwrap = true;
    if (!d_.text.empty() && n == d_.text) b.text = true;
    if (n == "c-uri" && d_.reader == "json") b.url = true;
  }
  if (const auto it = aliases_.find(path); it != aliases_.end() && !d_.text.empty())
    for (const auto& name : it->second)
      b.beside |= name == "program" ? Binding::kProgram
                  : name == "host"  ? Binding::kHost
                  : name == "pid"   ? Binding::kPid
                                    : std::uint8_t{0};
  for (const PairArray& p : d_.pairs) {
    if (path.size() <= p.path.size() + 1 || !path.starts_with(p.path) || path[p.path.size()] != '.') continue;
    const std::string_view leaf = path.substr(p.path.size() + 1);
    if (leaf == p.name) b.pair = PairPart::name;
    if (leaf == p.value) b.pair = PairPart::value;
  }
  return b;
}

bool Binder::below(std::string_view path) const {
  if (learn_ != nullptr) return true;
  const auto wanted = [&](std::string_view p) { return prefixes_.contains(p) || plan_prefixes_.contains(p); };
  if (wanted(path)) return true;
  for (const auto& root : d_.roots)
    if (path.size() > root.size() + 1 && path.starts_with(root) && path[root.size()] == '.' &&
        wanted(path.substr(root.size() + 1)))
      return true;
  return false;
}

const PairArray* Binder::pair_at(std::string_view path) const {
  for (const PairArray& p : d_.pairs)
    if (path.size() > p.path.size() && path.starts_with(p.path) && path[p.path.size()] == '.') return &p;
  return nullptr;
}

}  // namespace bavn::formats
