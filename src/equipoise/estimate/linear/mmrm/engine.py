"""One fit: arrange the rows by subject and visit, find the fast form of the design, run the kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import Design
from equipoise.estimate.linear.kernels.mmrm import DECREMENT, GRADIENT, ITERATIONS, LOGLIK, MIN_EIGEN, N_INFO, fit
from equipoise.estimate.linear.kernels.mmrm_covariance import covariance, jacobian
from equipoise.estimate.linear.kernels.mmrm_design import form
from equipoise.estimate.linear.kernels.mmrm_inference import prepare_kronecker
from equipoise.estimate.linear.kernels.mmrm_start import start_parameters
from equipoise.estimate.linear.kernels.mmrm_times import fit_times
from equipoise.estimate.linear.mmrm.covariance import CODES, n_covariance_parameters
from equipoise.types import BoolArray, FloatArray, IntArray, Status

TOLERANCE = 1e-14
MAX_STEPS = 100
ALIAS_TOLERANCE = 1e-7


@dataclass
class Rows:
    """Who was seen when: ``subject`` and ``visit`` codes of each row, ``subject_group`` that of each subject."""

    subject: IntArray
    visit: IntArray
    subject_group: IntArray
    n_subjects: int
    n_visits: int
    n_groups: int
    weights: FloatArray | None


@dataclass
class OwnTimes:
    """Rows sorted by subject for a fit at times of each subject's own (kernels/mmrm_times.py)."""

    x: FloatArray
    y: FloatArray
    times: FloatArray
    first: IntArray


@dataclass
class Fitted:
    """What the kernel found, for the columns of the design that are not aliased."""

    structure: str
    status: Status
    data: tuple[object, ...]
    theta: FloatArray
    beta: FloatArray
    linv: FloatArray
    sigma: FloatArray
    inverse: FloatArray
    packed: FloatArray
    information: FloatArray
    loglik: float
    gradient_norm: float
    decrement: float
    steps: int
    smallest_pivot: float
    coords: FloatArray
    n_groups: int
    own_times: OwnTimes | None = None
    gradient: FloatArray = field(default_factory=lambda: np.empty(0))

    def block(self, visits: IntArray, group: int) -> FloatArray:
        """Covariance of one subject seen at ``visits`` (codes), in their order."""
        if self.own_times is None:
            common: FloatArray = self.sigma[group][np.ix_(visits, visits)]
            return common
        n = len(visits)
        out, work = np.empty((n, n)), np.empty((n, n))
        covariance(CODES[self.structure], n, self.theta, self.coords[visits], out, work)
        return out


@dataclass
class Prepared:
    """Kernel input of one data set, the columns kept, and the least-squares offset taken from the response."""

    data: tuple[object, ...]
    kept: IntArray
    offset: FloatArray
    kronecker: bool
    n_visits: int
    log_weights: float


def _rank(gram: FloatArray) -> BoolArray:
    """Which columns look independent of the ones before, by a Cholesky sweep of the scaled cross-products."""
    p = gram.shape[0]
    scale = np.sqrt(np.diag(gram))
    ok = scale > 0.0
    a = gram / np.outer(np.where(ok, scale, 1.0), np.where(ok, scale, 1.0))
    for j in range(p):
        if not ok[j]:
            continue
        if a[j, j] < 1e-8:
            ok[j] = False
            continue
        column = a[:, j] / a[j, j]
        a = a - np.outer(column, a[j])
    return ok


def independent_columns(x: FloatArray) -> IntArray:
    """Columns kept from left to right as R's ``lm`` keeps them: what is left of a column after projection on the ones
    kept must exceed 1e-7 of its length."""
    kept: list[int] = []
    q = np.empty((x.shape[0], 0))
    for j in range(x.shape[1]):
        v = x[:, j]
        length = float(np.linalg.norm(v))
        if length == 0.0:
            continue
        r = v - q @ (q.T @ v)
        r -= q @ (q.T @ r)
        left = float(np.linalg.norm(r))
        if left > ALIAS_TOLERANCE * length:
            kept.append(j)
            q = np.column_stack([q, r / left])
    return np.array(kept, dtype=np.int64)


def _split(design: Design, rows: Rows) -> tuple[FloatArray, FloatArray, IntArray, IntArray] | None:
    """The design as profile over visits times subject-level covariate, if every column is one: (f, w, phi, u)."""
    first = np.full(rows.n_subjects, -1, np.int64)
    first[rows.subject[::-1]] = np.arange(design.n_rows - 1, -1, -1)
    back = first[rows.subject]
    at_visit = np.zeros(rows.n_visits, np.int64)
    at_visit[rows.visit[::-1]] = np.arange(design.n_rows - 1, -1, -1)
    back_visit = at_visit[rows.visit]
    kind: dict[str, bool] = {}
    for name, factor in design.factors.items():
        values = factor.column.values if factor.column is not None else factor.numeric
        assert values is not None
        if np.array_equal(values, values[back]):
            kind[name] = True
        elif np.array_equal(values, values[back_visit]):
            kind[name] = False
        else:
            return None
    profiles: dict[tuple[tuple[str, bool, int], ...], int] = {}
    covariates: dict[tuple[tuple[str, bool, int], ...], int] = {}
    f_columns: list[FloatArray] = []
    w_columns: list[FloatArray] = []
    phi = np.empty(len(design.names), np.int64)
    u = np.empty(len(design.names), np.int64)
    blocks: dict[tuple[str, bool], FloatArray] = {}
    for term in design.terms:
        sizes = []
        for factor, full in zip(term.factors, term.full, strict=True):
            key = (factor.spec.expression, full)
            if key not in blocks:
                place = first if kind[factor.spec.expression] else at_visit
                if factor.column is not None:
                    blocks[key] = factor.coding(full)[0][factor.column.values[place]]
                else:
                    assert factor.numeric is not None
                    blocks[key] = factor.numeric[place]
            sizes.append(blocks[key].shape[1])
        for j, index in enumerate(np.ndindex(*reversed(sizes))):
            index = tuple(reversed(index))
            by_visit: list[tuple[str, bool, int]] = []
            by_subject: list[tuple[str, bool, int]] = []
            for factor, full, i in zip(term.factors, term.full, index, strict=True):
                name = factor.spec.expression
                (by_subject if kind[name] else by_visit).append((name, full, i))
            for chosen, table, store, n, out in (
                (tuple(by_visit), profiles, f_columns, rows.n_visits, phi),
                (tuple(by_subject), covariates, w_columns, rows.n_subjects, u),
            ):
                if chosen not in table:
                    table[chosen] = len(store)
                    value = np.ones(n)
                    for name, full, i in chosen:
                        value = value * blocks[name, full][:, i]
                    store.append(value)
                out[term.columns.start + j] = table[chosen]
    return np.column_stack(f_columns), np.ascontiguousarray(np.column_stack(w_columns)), phi, u


def prepare(design: Design, y: FloatArray, rows: Rows) -> Prepared:
    """Arrange the data for the kernel. Aliased columns are left out; ``kept`` are the others."""
    m, n = rows.n_visits, rows.n_subjects
    form = None if rows.weights is not None else _split(design, rows)
    p = len(design.names)
    kept = np.arange(p, dtype=np.int64)
    present = np.zeros((n, m), np.bool_)
    present[rows.subject, rows.visit] = True
    if form is not None:
        f, w, phi, u = form
        wide = np.zeros((n, m))
        wide[rows.subject, rows.visit] = y
        for _ in range(2):
            ok, normal, offset, *data = prepare_kronecker(w, wide, present, rows.subject_group, f, phi, u)
            independent = _rank(normal)
            if independent.all() and ok:
                return Prepared(tuple(data), kept, offset, True, m, 0.0)
            chosen = independent_columns(design.matrix()[:, kept])
            if len(chosen) == len(kept):
                break
            kept, phi, u = kept[chosen], phi[chosen], u[chosen]
    return prepare_rows(design.matrix(), y, rows)


def prepare_rows(x: FloatArray, y: FloatArray, rows: Rows) -> Prepared:
    """:func:`prepare` in the general form, from the rows of the design."""
    m, n = rows.n_visits, rows.n_subjects
    empty2, none = np.empty((0, 0)), np.empty(0, np.int64)
    present = np.zeros((n, m), np.bool_)
    present[rows.subject, rows.visit] = True
    log_weights = 0.0
    response = y
    if rows.weights is not None:
        root = np.sqrt(rows.weights)
        x = x * root[:, None]
        response = y * root
        log_weights = 0.5 * float(np.log(rows.weights).sum())
    kept = independent_columns(x)
    x = x[:, kept]
    code = np.concatenate([present, rows.subject_group[:, None]], axis=1).astype(np.int64)
    used = np.flatnonzero(present.any(axis=1))
    patterns, of_used = np.unique(code[used], axis=0, return_inverse=True)
    of_subject = np.full(n, -1, np.int64)
    of_subject[used] = of_used.ravel()
    k = len(patterns)
    nobs = patterns[:, :m].sum(axis=1).astype(np.int64)
    obs = np.zeros((k, m), np.int64)
    for i in range(k):
        obs[i, : nobs[i]] = np.flatnonzero(patterns[i, :m])
    count = np.bincount(of_subject[used], minlength=k).astype(np.float64)
    order = np.lexsort((rows.visit, rows.subject, of_subject[rows.subject]))
    x = np.ascontiguousarray(x[order])
    solution = np.asarray(np.linalg.lstsq(x, response[order], rcond=None)[0], np.float64)
    residual = response[order] - x @ solution
    first = np.concatenate([[0], np.cumsum(nobs * count.astype(np.int64))[:-1]]).astype(np.int64)
    square = np.zeros((k, m, m))
    for i in range(k):
        block = residual[first[i] : first[i] + nobs[i] * int(count[i])].reshape(int(count[i]), nobs[i])
        square[i][np.ix_(obs[i, : nobs[i]], obs[i, : nobs[i]])] = block.T @ block
    data = (
        False,
        obs,
        nobs,
        count,
        np.ascontiguousarray(patterns[:, m]),
        np.empty((0, 0, 0)),
        np.empty((0, 0, 0)),
        square,
        empty2,
        none,
        none,
        x,
        residual,
        first,
    )
    return Prepared(data, kept, solution, False, m, log_weights)


def _second_start(prepared: Prepared, code: int | None, coords: FloatArray, n_groups: int, theta: FloatArray) -> None:
    """Parameters for a second try: the variances of the visits and a correlation of 0.3 throughout."""
    m = prepared.n_visits
    nobs, count, square = (np.asarray(prepared.data[i]) for i in (2, 3, 7))
    obs = np.asarray(prepared.data[1])
    seen = np.zeros(m)
    for k in range(len(nobs)):
        seen[obs[k, : nobs[k]]] += count[k]
    variance = np.maximum(np.einsum("kaa->a", square) / np.maximum(seen, 1.0), 1e-12)
    sd = np.sqrt(variance)
    sigma = (0.3 + 0.7 * np.eye(m)) * np.outer(sd, sd)
    nt = len(theta) // n_groups
    for g in range(n_groups):
        start_parameters(code, m, sigma, coords, theta[g * nt : (g + 1) * nt])


def run(
    prepared: Prepared, structure: str, reml: bool, coords: FloatArray, n_groups: int, expected: bool = False
) -> Fitted:
    """Fit one structure; never raises for a fit that fails, ``status`` says so."""
    m, p = prepared.n_visits, len(prepared.kept)
    nt = n_covariance_parameters(structure, m) * n_groups
    n_patterns = len(prepared.data[2])  # type: ignore[arg-type]
    theta, beta, gradient = np.zeros(nt), np.zeros(p), np.full(nt, np.nan)
    linv, sigma, inverse = np.zeros((p, p)), np.zeros((n_groups, m, m)), np.zeros((n_patterns, m, m))
    packed, information, info = np.zeros((p * (p + 1) // 2, nt)), np.zeros((nt, nt)), np.full(N_INFO, np.nan)
    code = CODES[structure]
    status = int(Status.NOT_CONVERGED)
    for attempt in range(2):
        if attempt:
            _second_start(prepared, code, coords, n_groups, theta)
        status = fit(
            prepared.data,
            form(prepared.data),
            code,
            reml,
            expected,
            coords,
            n_groups,
            attempt > 0,
            TOLERANCE,
            MAX_STEPS,
            theta,
            beta,
            linv,
            sigma,
            inverse,
            packed,
            information,
            gradient,
            info,
        )
        if status == Status.OK:
            break
    n_obs = float((np.asarray(prepared.data[2]) * np.asarray(prepared.data[3])).sum())
    loglik = info[LOGLIK] - 0.5 * (n_obs - (p if reml else 0)) * math.log(2.0 * math.pi) + prepared.log_weights
    return Fitted(
        structure,
        Status(status),
        prepared.data,
        theta,
        beta + prepared.offset,
        linv,
        sigma,
        inverse,
        packed,
        information,
        float(loglik),
        float(info[GRADIENT]),
        float(info[DECREMENT]),
        int(info[ITERATIONS]) if np.isfinite(info[ITERATIONS]) else 0,
        float(info[MIN_EIGEN]),
        coords,
        n_groups,
        gradient=gradient,
    )


def unfitted(prepared: Prepared, structure: str, coords: FloatArray, n_groups: int, status: Status) -> Fitted:
    """A fit that was not tried, for the reason in ``status``: least squares, and no covariance."""
    m, p = prepared.n_visits, len(prepared.kept)
    nt = n_covariance_parameters(structure, m) * n_groups
    nan = math.nan
    return Fitted(
        structure,
        status,
        prepared.data,
        np.full(nt, nan),
        prepared.offset.copy(),
        np.full((p, p), nan),
        np.full((n_groups, m, m), nan),
        np.empty((0, m, m)),
        np.full((p * (p + 1) // 2, nt), nan),
        np.full((nt, nt), nan),
        nan,
        nan,
        nan,
        0,
        nan,
        coords,
        n_groups,
    )


def unfitted_times(
    design: Design, y: FloatArray, rows: Rows, structure: str, coords: FloatArray, status: Status
) -> tuple[Fitted, IntArray]:
    """:func:`unfitted` at times of each subject's own; also returns the columns kept."""
    n = len(y)
    alone = Rows(np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64), n, 1, 1, rows.weights)
    prepared = prepare(design, y, alone)
    fitted = unfitted(prepared, structure, coords, 1, status)
    p = len(prepared.kept)
    fitted.own_times = OwnTimes(np.empty((0, p)), np.empty(0), np.empty(0), np.zeros(1, np.int64))
    return fitted, prepared.kept


def inform(fitted: Fitted, nulls: list[FloatArray]) -> None:
    """Give an unstructured fit a unit of information along the directions the data hold none on, so that the others
    can be judged; what depends on none of them is not touched. Accepts the optimum if it is one along the others.

    nulls : a group, (element, k) of :func:`equipoise.estimate.linear.mmrm.identified.unidentified`.
    """
    code, m = CODES["us"], fitted.sigma.shape[1]
    ne = m * (m + 1) // 2
    nt = len(fitted.theta) // fitted.n_groups
    info = fitted.information.copy()
    for g, null in enumerate(nulls):
        jac, jn, ji = np.zeros((ne, nt)), np.zeros(ne, np.int64), np.zeros((ne, nt), np.int64)
        part = slice(g * nt, (g + 1) * nt)
        jacobian(code, m, fitted.theta[part], fitted.coords, fitted.sigma[g], jac, jn, ji)
        dense = np.zeros((ne, nt))
        for e in range(ne):
            dense[e, ji[e, : jn[e]]] = jac[e, ji[e, : jn[e]]]
        try:
            own = np.linalg.solve(dense, null)
        except np.linalg.LinAlgError:
            return
        own, _ = np.linalg.qr(own)
        # what is there along them is rounding
        rest = np.eye(nt) - own @ own.T
        size = max(float(np.trace(info[part, part])) / nt, 1.0)
        info[part, part] = rest @ info[part, part] @ rest + size * own @ own.T
    try:
        np.linalg.cholesky(info)
        step = np.linalg.solve(info, fitted.gradient)
    except np.linalg.LinAlgError:
        return
    fitted.information = info
    if float(fitted.gradient @ step) < 1e-12:
        fitted.status = Status.OK


def _start_times(structure: str, residual: FloatArray, times: FloatArray, first: IntArray) -> FloatArray:
    """Starting parameters from least-squares residuals: the variance within and between subjects, by moments."""
    total = max(float(np.mean(residual**2)), 1e-300)
    subject = np.repeat(np.arange(len(first) - 1), np.diff(first))
    size = np.diff(first)
    means = np.bincount(subject, residual) / size
    within_ss = float(((residual - means[subject]) ** 2).sum())
    spare = max(len(residual) - len(size), 1)
    within = min(max(within_ss / spare, 0.05 * total), 0.95 * total)
    between = max(total - within, 0.05 * total)
    if structure == "sp_exp":
        gap = float(np.median(np.abs(np.diff(times))[np.diff(subject) == 0])) if (size > 1).any() else 1.0
        rho = min(max(between / total, 0.05), 0.95) ** (1.0 / max(gap, 1e-8))
        rho = min(max(rho, 1e-6), 1.0 - 1e-6)
        return np.array([math.log(total), math.log(rho / (1.0 - rho))])
    if structure == "intercept":
        return np.array([math.sqrt(between), 0.5 * math.log(within)])
    span = float(np.std(times)) or 1.0
    return np.array([math.sqrt(between), 0.0, 0.5 * math.sqrt(within) / span, 0.5 * math.log(0.75 * within)])


def run_times(
    x: FloatArray, y: FloatArray, rows: Rows, coords: FloatArray, structure: str, reml: bool, expected: bool
) -> tuple[Fitted, IntArray]:
    """Fit rows ``x`` (row, p) at times of each subject's own; also returns the columns kept."""
    log_weights = 0.0
    if rows.weights is not None:
        root = np.sqrt(rows.weights)
        x, y = x * root[:, None], y * root
        log_weights = float(np.log(root).sum())
    kept = independent_columns(x)
    if len(kept) == 0 or len(y) <= len(kept):
        raise DataError(
            f"{len(y)} observations cannot estimate {len(kept)} coefficients", hint="simplify the fixed part"
        )
    order = np.lexsort((rows.visit, rows.subject))
    x = np.ascontiguousarray(x[order][:, kept])
    solution = np.asarray(np.linalg.lstsq(x, y[order], rcond=None)[0], np.float64)
    residual = y[order] - x @ solution
    times = np.ascontiguousarray(coords[rows.visit[order]])
    counts = np.bincount(rows.subject, minlength=rows.n_subjects)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    nt, p = n_covariance_parameters(structure, 3), len(kept)
    theta = _start_times(structure, residual, times, first)
    beta, gradient, info = np.zeros(p), np.full(nt, np.nan), np.full(N_INFO, np.nan)
    linv, packed, information = np.zeros((p, p)), np.zeros((p * (p + 1) // 2, nt)), np.zeros((nt, nt))
    status = fit_times(
        CODES[structure],
        reml,
        expected,
        x,
        residual,
        times,
        first,
        TOLERANCE,
        MAX_STEPS,
        theta,
        beta,
        linv,
        packed,
        information,
        gradient,
        info,
    )
    loglik = info[LOGLIK] - 0.5 * (len(y) - (p if reml else 0)) * math.log(2.0 * math.pi) + log_weights
    steps = int(info[ITERATIONS]) if np.isfinite(info[ITERATIONS]) else 0
    empty = np.empty((0, 0, 0))
    fitted = Fitted(
        structure,
        Status(status),
        (),
        theta,
        beta + solution,
        linv,
        empty,
        empty,
        packed,
        information,
        float(loglik),
        float(info[GRADIENT]),
        float(info[DECREMENT]),
        steps,
        float(info[MIN_EIGEN]),
        coords,
        1,
        OwnTimes(x, residual, times, first),
    )
    return fitted, kept


def check_rows(rows: Rows, subjects: tuple[object, ...], visits: tuple[object, ...], names: tuple[str, str]) -> None:
    """Raise for a visit that occurs twice within a subject, naming both."""
    key = rows.subject * rows.n_visits + rows.visit
    counts = np.bincount(key, minlength=rows.n_subjects * rows.n_visits)
    twice = np.flatnonzero(counts > 1)
    if twice.size:
        shown = "; ".join(
            f"{names[0]} {subjects[k // rows.n_visits]} has {counts[k]} rows at {names[1]} {visits[k % rows.n_visits]}"
            for k in twice[:5].tolist()
        )
        more = f" and {twice.size - 5} more" if twice.size > 5 else ""
        raise DataError(
            f"a visit occurs more than once within a subject: {shown}{more}",
            hint="keep one record a subject and visit (ANL01FL = 'Y', one PARAMCD, no LOCF rows beside observed ones)",
        )


def groups_of_subjects(subject: IntArray, group: IntArray, n_subjects: int, names: tuple[str, str]) -> IntArray:
    """Group code of every subject; raises where a subject is in two groups."""
    out = np.full(n_subjects, -1, np.int64)
    out[subject] = group
    if (out[subject] != group).any():
        raise EstimationError(
            f"{names[1]} changes within a {names[0]}", hint="a subject belongs to one covariance group"
        )
    return out
