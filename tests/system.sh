# Install what the tests use from Debian, where that is possible and something is missing.
# LaTeX compiles the tables; Chromium opens the pages; METEOR reads WordNet; Slurm with its accounting is the cluster of slurm/sim.
# Under CI what is missing in the end is an error; elsewhere its tests are skipped.
set -u
PATH=$PATH:/usr/sbin:/sbin
has_tex() {
  [ -n "$(find /usr/share/texlive /usr/share/texmf* -name "$1" -print -quit 2>/dev/null)" ]
}
list_missing() {
  wanted=()
  command -v pdflatex >/dev/null && has_tex beamer.cls || wanted+=(texlive-latex-recommended)
  has_tex IEEEtran.cls && has_tex llncs.cls || wanted+=(texlive-publishers)
  has_tex ptmr7t.tfm || wanted+=(texlive-fonts-recommended)
  has_tex siunitx.sty || wanted+=(texlive-science)
  has_tex pgfmath.sty || wanted+=(texlive-pictures)
  command -v pdftotext >/dev/null || wanted+=(poppler-utils)
  command -v chromium >/dev/null || wanted+=(chromium)
  [ -e /usr/share/wordnet/data.noun ] || wanted+=(wordnet-base)
  command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null ||
    wanted+=(slurm-wlm)
  command -v munged >/dev/null || wanted+=(munge)
  command -v slurmdbd >/dev/null || wanted+=(slurmdbd)
  command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null ||
    wanted+=(mariadb-server-core)
  command -v mariadb >/dev/null || wanted+=(mariadb-client-core)
}

list_missing
[ "${#wanted[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, so their tests are skipped: ${wanted[*]} (Debian's names; root may install them)"
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi

echo "installing ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian's packages start their daemons unless this file forbids it; the tests start their own
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
  exit 1

list_missing
[ "${#wanted[@]}" -eq 0 ] && exit 0
echo "still missing after the installation: ${wanted[*]}"
[ "${CI:-}" = true ] && exit 1
exit 0
